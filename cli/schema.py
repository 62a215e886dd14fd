"""`trailgate migrate`, `openapi` and `settings`: the database schema, the API document and the list of settings."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from cli.installation import existing_authenticator, located, read_settings
from cli.output import note, say
from storage.migrations import differences
from storage.migrations import migrate as apply_migrations
from storage.services import NotConfigured
from storage.settings import Settings


def migrate(
    check: Annotated[bool, typer.Option("--check", help="Only list differences; status 1 if there are any.")] = False,
) -> None:
    """Migrate the database to the schema of this version."""
    with located(read_settings(), create=not check) as settings:
        if check:
            report_differences(settings)
        else:
            applied = asyncio.run(apply_migrations(database_url(settings), existing_authenticator(settings)))
            say(f"applied {', '.join(applied)}" if applied else "nothing to apply")


def report_differences(settings: Settings) -> None:
    """Print the differences of the schema; exit with status 1 if there are any."""
    found = asyncio.run(differences(database_url(settings)))
    for difference in found:
        say(difference)
    if found:
        raise typer.Exit(1)
    note("The database has the schema of this version.")


def database_url(settings: Settings) -> str:
    """Return the database URL of located settings. Raises NotConfigured."""
    if settings.database_url is None:
        raise NotConfigured("Set TRAILGATE_DATABASE_URL, or run `trailgate up`.")
    return settings.database_url


def openapi(
    output: Annotated[Path | None, typer.Option(help="File to write instead of standard output.")] = None,
) -> None:
    """Print the OpenAPI document of the API. Needs no database."""
    text = json.dumps(_document(read_settings()), indent=2, ensure_ascii=False)
    if output is None:
        say(text)
    else:
        output.write_text(text + "\n", encoding="utf-8")


def _document(settings: Settings) -> dict[str, Any]:
    # Importing the API takes as long as the rest of a command, so only this command imports it.
    from api.http.binding import Endpoint  # noqa: PLC0415
    from api.http.documentation.openapi import document  # noqa: PLC0415
    from api.surfaces import fact_store  # noqa: PLC0415

    surface = fact_store(settings.webhook_max_body)
    return document(surface, [Endpoint(surface, route) for route in surface.routes])


def settings() -> None:
    """Print all settings as a Markdown table."""
    say("| variable | default | meaning |\n|---|---|---|")
    for name, field in Settings.model_fields.items():
        meaning = (field.description or "").replace("|", "\\|")
        say(f"| `TRAILGATE_{name.upper()}` | {_default(field)} | {meaning} |")


def _default(field: FieldInfo) -> str:
    if field.default in (None, PydanticUndefined) or isinstance(field.default, SecretStr):
        return "unset"
    return f"`{field.default}`"
