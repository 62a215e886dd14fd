"""Find the servers for a command: the configured ones, those of a running `up`, or its own for its duration."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cli.embedded.layout import Layout, in_use
from cli.embedded.servers import EmbeddedServers
from cli.output import note
from domain.errors import Invalid
from storage.authenticator import Authenticator
from storage.clock import SystemClock
from storage.database import Database, open_database
from storage.ids import Ids
from storage.keys import existing_master_keys, load_master_keys
from storage.services import NotConfigured
from storage.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
"""The folder from which the application runs."""

chosen_data_dir: ContextVar[Path | None] = ContextVar("chosen_data_dir", default=None)
"""The data directory of the option `--data-dir`, which every command has; None leaves the choice to the environment."""

_CONNECTIONS = 2


def read_settings(**options: object) -> Settings:
    """Return the settings of the environment, overridden by `--data-dir` and the options that are not None.

    Paths are absolute. Raises Invalid, naming every unusable variable.
    """
    options = {"data_dir": chosen_data_dir.get(), **options}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        problems = (f"TRAILGATE_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors() if e["loc"])
        raise Invalid("; ".join(problems)) from error
    folders = {name: getattr(settings, name) for name in ("data_dir", "checkpoint_dir")}
    return settings.model_copy(update={name: f and f.expanduser().absolute() for name, f in folders.items()})


def addressed(settings: Settings, servers: EmbeddedServers) -> Settings:
    """Return the settings with the URLs of embedded servers."""
    return settings.model_copy(update={"database_url": servers.database_url, "redis_url": servers.redis_url})


@dataclass(frozen=True, slots=True)
class Installation:
    """The settings with the URL of a running database, and whether its servers run only for the current command."""

    settings: Settings
    stopped: bool = False


@contextmanager
def found_installation(settings: Settings, *, create: bool = False) -> Iterator[Installation]:
    """Yield the installation of these settings. Call this from the main thread, outside any event loop.

    Without a configured database it is the embedded one of the data directory: that of a running `up`, or one that runs
    for the duration of the block. Raises NotConfigured when there is none, unless `create` is true.
    """
    if settings.database_url is not None:
        yield Installation(settings)
        return
    if settings.redis_url is not None:
        raise NotConfigured("TRAILGATE_REDIS_URL is set, but TRAILGATE_DATABASE_URL is not: set both or neither.")
    servers = EmbeddedServers(settings.data_dir)
    if in_use(settings.data_dir):
        yield Installation(addressed(settings, servers))
        return
    if not create and not Layout(settings.data_dir, None).version.exists():
        raise NotConfigured(
            f"There is no database in {settings.data_dir}: run `trailgate up` once, "
            "or name another with --data-dir, TRAILGATE_DATA_DIR or TRAILGATE_DATABASE_URL."
        )
    note(f"No `trailgate up` runs on {settings.data_dir}: starting its servers for this command.")
    with servers:
        yield Installation(addressed(settings, servers), stopped=True)


def existing_authenticator(settings: Settings) -> Authenticator | None:
    """Return the authenticator of this host; None without a usable master key, which is not created."""
    master_keys = existing_master_keys(settings)
    return Authenticator(lambda: master_keys) if master_keys else None


@contextmanager
def located(settings: Settings, *, create: bool = False) -> Iterator[Settings]:
    """Yield the settings of `found_installation`."""
    with found_installation(settings, create=create) as installation:
        yield installation.settings


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """Open the database of located settings.

    Not all services: that would create key files, which only a command that writes may do.
    """
    if settings.database_url is None:
        raise NotConfigured("Set TRAILGATE_DATABASE_URL, or run `trailgate up`.")
    async with open_database(
        settings.database_url,
        size=_CONNECTIONS,
        clock=SystemClock(),
        ids=Ids(),
        name="trailgate cli",
        authenticator=Authenticator(lambda: load_master_keys(settings)),
        quotas=settings.quotas,
    ) as database:
        yield database
