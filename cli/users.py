"""`trailgate users`: erase the personal data of people."""

import asyncio
from typing import Annotated
from uuid import UUID

import typer

from cli.identity import administrator
from cli.installation import located, opened, read_settings
from cli.output import printable, say
from domain.errors import NotFound
from domain.identity.principals import PersonalData
from storage.database import Reader
from storage.identity.commands.erasure import erase_person
from storage.identity.queries.principals import managing_organisation, principal_named
from storage.settings import Settings

users = typer.Typer(help="Erase the personal data of people.", no_args_is_help=True)


@users.callback()
def _group() -> None:
    """Erase the personal data of people."""


@users.command("erase")
def erase(
    user: Annotated[str, typer.Argument(help="E-mail address or id of the user; also of a deleted one.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Erase what names a person, for ever: out of the users, the keys, the audit and the ledger, which stay provable.

    A user who is not deleted yet is deleted. After a backup is restored, erase again who was erased since.
    """
    with located(read_settings()) as settings:
        found = asyncio.run(_erase(settings, user, only_look=True))
        if not yes:
            named = printable(found.name or found.email or "somebody without a name")
            typer.confirm(f"Erase {named} ({found.user_id}) for ever?", abort=True, err=True)
        asyncio.run(_erase(settings, str(found.user_id)))
    say(f"{found.user_id} erased")


async def _erase(settings: Settings, user: str, *, only_look: bool = False) -> PersonalData:
    """Erase a user and return what was erased; with `only_look` everything is checked and nothing is stored."""
    found: PersonalData | None = None
    async with opened(settings) as database, database.transaction(dry_run=only_look) as tx:
        user_id = await _user_id(tx, user)
        actor, tenant = await administrator(tx, settings), await managing_organisation(tx, user_id)
        found = await erase_person(tx, tenant, user_id, actor)
    assert found is not None  # noqa: S101 - the transaction has ended without an error
    return found


async def _user_id(reader: Reader, user: str) -> UUID:
    try:
        return UUID(user)
    except ValueError:
        user_id = await principal_named(reader, user.strip().lower())
    if user_id is None:
        raise NotFound(f"There is no user '{user}'.")
    return user_id
