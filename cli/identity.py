"""`trailgate keys` and `trailgate organisations`: manage API keys and organisations."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import typer

from cli.durations import duration
from cli.installation import located, opened, read_settings
from cli.output import note, say, table
from domain.audit.events import Actor
from domain.errors import Conflict, NotFound
from domain.identity.api_keys import ApiKey, NewApiKey
from domain.identity.grants import check_owner
from domain.identity.organisations import NewOrganisation, Organisation
from domain.identity.permissions import DEFAULT_ORGANISATION, ROLES, Permission
from domain.identity.principals import NewServiceAccount, service_username
from domain.identity.scopes import checked_scopes
from domain.tenant import Tenant
from storage.database import Reader, Transaction
from storage.identity.bootstrap import ADMIN
from storage.identity.commands.api_keys import create_api_key, revoke_api_key
from storage.identity.commands.organisations import create_organisation
from storage.identity.commands.service_accounts import create_service_account
from storage.identity.queries.api_keys import list_api_keys, organisation_of_key
from storage.identity.queries.organisations import active_organisations, organisation_by_slug_or_id
from storage.identity.queries.principals import active_member, principal_named, usernames
from storage.services import NotConfigured
from storage.settings import Settings

keys = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)
organisations = typer.Typer(help="Create and list organisations, and set their limits.", no_args_is_help=True)

DEFAULT_ROLE = "reporter"
MAX_KEYS = 10_000


def _known_role(given: str | None) -> str | None:
    if given is not None and given not in ROLES:
        raise typer.BadParameter(f"there is no role {given!r}; the roles are {', '.join(ROLES)}")
    return given


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """The options of `keys create`. `role` is for a new principal, `principal` names an existing one."""

    name: str
    organisation: str
    role: str
    principal: str | None
    permissions: list[Permission] | None
    scopes: list[str] | None
    expires_in: timedelta | None


@keys.command("create")
def create_key(
    *,
    name: Annotated[str, typer.Option(help="The purpose of the key.")],
    organisation: Annotated[str, typer.Option(help="Slug of the organisation of the key.")] = DEFAULT_ORGANISATION,
    role: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE",
            callback=_known_role,
            help=f"Role of a new service principal, by default {DEFAULT_ROLE}: {', '.join(ROLES)}.",
        ),
    ] = None,
    principal: Annotated[str | None, typer.Option(help="Username of an existing principal, instead of a role.")] = None,
    permission: Annotated[
        list[Permission] | None,
        typer.Option(
            metavar="PERMISSION",
            help=f"Limit the key to this permission; may be repeated: {', '.join(Permission)}.",
        ),
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCOPE", help="Limit the key to this flow:ID, repo:NAME or environment:ID; may be repeated."
        ),
    ] = None,
    expires_in: Annotated[
        str | None, typer.Option(help="Lifetime, such as 90m, 12h, 30d or 8w; by default unlimited.")
    ] = None,
) -> None:
    """Create an API key and print its text, which cannot be shown again."""
    if role is not None and principal is not None:
        raise typer.BadParameter("--role is for a new principal, --principal names an existing one: give one of them")
    if not name.strip():
        raise typer.BadParameter("--name must state the purpose of the key")
    lifetime = duration("--expires-in", expires_in) if expires_in is not None else None
    scopes = checked_scopes(scope) if scope else None
    request = KeyRequest(name, organisation, role or DEFAULT_ROLE, principal, permission or None, scopes, lifetime)
    with located(read_settings()) as settings:
        key, text = asyncio.run(_create_key(settings, request))
    say(text)
    until = f" until {key.expires_at:%Y-%m-%d %H:%M} UTC" if key.expires_at else ""
    note(f"Key {key.id} of organisation {organisation}{until}. The text above cannot be shown again.")


@keys.command("list")
def list_keys(
    organisation: Annotated[str | None, typer.Option(help="Only this organisation, by slug.")] = None,
) -> None:
    """List API keys, including revoked ones, without their texts."""
    with located(read_settings()) as settings:
        rows = asyncio.run(_list_keys(settings, organisation))
    table(
        (
            "ID",
            "ORGANISATION",
            "NAME",
            "PRINCIPAL",
            "PREFIX",
            "PERMISSIONS",
            "SCOPES",
            "EXPIRES",
            "REVOKED",
            "LAST USED",
        ),
        rows,
    )


@keys.command("revoke")
def revoke_key(key_id: Annotated[UUID, typer.Argument(metavar="ID", help="Id of the key, as in `keys list`.")]) -> None:
    """Revoke an API key at once."""
    with located(read_settings()) as settings:
        asyncio.run(_revoke_key(settings, key_id))
    say(f"{key_id} revoked")


@organisations.command("create")
def add_organisation(
    slug: Annotated[str, typer.Argument(help="Name in paths, of a-z, 0-9 and '-'.")],
    name: Annotated[str | None, typer.Option(help="Display name, by default the slug.")] = None,
) -> None:
    """Create an organisation."""
    with located(read_settings()) as settings:
        organisation = asyncio.run(_add_organisation(settings, NewOrganisation(slug, name or slug)))
    say(f"{organisation.id} {organisation.slug}")


@organisations.command("list")
def show_organisations() -> None:
    """List all organisations."""
    with located(read_settings()) as settings:
        found = asyncio.run(_organisations(settings))
    table(("ID", "SLUG", "NAME", "CREATED"), ((o.id, o.slug, o.name, o.created_at) for o in found))


async def _create_key(settings: Settings, request: KeyRequest) -> tuple[ApiKey, str]:
    async with opened(settings) as database, database.transaction() as tx:
        actor = await administrator(tx, settings)
        tenant = (await named_organisation(tx, request.organisation)).tenant
        principal_id, role = await _owner(tx, tenant, request, actor)
        check_owner(role, tenant.org_slug, request.permissions)
        expires_at = tx.now + request.expires_in if request.expires_in else None
        new = NewApiKey(principal_id, request.name, request.permissions, expires_at, scopes=request.scopes)
        return await create_api_key(tx, tenant, new, actor)


async def _owner(tx: Transaction, tenant: Tenant, request: KeyRequest, actor: Actor) -> tuple[UUID, str]:
    """Return the principal of a new key and its role; create the principal unless the request names one."""
    if request.principal is not None:
        return await active_member(tx, tenant, request.principal)
    new = NewServiceAccount(request.name, role=request.role)
    try:
        return (await create_service_account(tx, tenant, new, actor)).id, request.role
    except Conflict as error:
        username = service_username(tenant, request.name)
        raise Conflict(f"{error.message} To create another key for it, use --principal '{username}'.") from error


async def _list_keys(settings: Settings, only: str | None) -> list[tuple[object, ...]]:
    async with opened(settings) as database, database.read() as reader:
        found = [await named_organisation(reader, only)] if only is not None else await active_organisations(reader)
        rows: list[tuple[object, ...]] = []
        for organisation in found:
            listed = await list_api_keys(reader, organisation.tenant, MAX_KEYS)
            names = await usernames(reader, [key.principal_id for key in listed])
            rows += [_key_row(key, organisation, names) for key in listed]
        return rows


def _key_row(key: ApiKey, organisation: Organisation, names: dict[UUID, str]) -> tuple[object, ...]:
    principal = names.get(key.principal_id, key.principal_id)
    permissions = "all of its owner" if key.permissions is None else " ".join(key.permissions)
    scopes = "all" if key.scopes is None else " ".join(key.scopes)
    times: tuple[datetime | None, ...] = (key.expires_at, key.revoked_at, key.last_used_at)
    return key.id, organisation.slug, key.name, principal, key.prefix, permissions, scopes, *times


async def _revoke_key(settings: Settings, key_id: UUID) -> None:
    async with opened(settings) as database, database.transaction() as tx:
        tenant = await organisation_of_key(tx, key_id)
        if tenant is None:
            raise NotFound(f"There is no API key {key_id}; `trailgate keys list` lists all keys.")
        await revoke_api_key(tx, tenant, key_id, await administrator(tx, settings))


async def _add_organisation(settings: Settings, new: NewOrganisation) -> Organisation:
    async with opened(settings) as database, database.transaction() as tx:
        return await create_organisation(tx, new, await administrator(tx, settings))


async def _organisations(settings: Settings) -> list[Organisation]:
    async with opened(settings) as database, database.read() as reader:
        return await active_organisations(reader)


async def named_organisation(reader: Reader, slug: str) -> Organisation:
    """Return an organisation by its slug or id. Raises NotFound."""
    found = await organisation_by_slug_or_id(reader, slug)
    if found is None:
        raise NotFound(f"There is no organisation '{slug}'; `trailgate organisations create {slug}` creates it.")
    return found


async def administrator(reader: Reader, settings: Settings) -> Actor:
    """Return the administrator as the actor: anyone who can use this command has full access to the database."""
    admin_id = await principal_named(reader, ADMIN)
    if admin_id is None:
        raise NotConfigured("There is no administrator yet: start `trailgate up` or `trailgate api` once.")
    return Actor(admin_id, region=settings.region)
