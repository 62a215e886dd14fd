"""Organisations (integrations.md 3)."""

from api.http.calls import Call, Preview, Reply
from api.http.dry_runs import DryRun, WouldCreate, created
from api.http.paging import ListQuery, list_headers
from api.identity.schemas.organisations import OrganisationIn, OrganisationOut
from domain.errors import NotFound
from domain.identity.permissions import Permission
from storage.identity import commands, queries


async def create_organisation(
    call: Call, body: OrganisationIn, dry_run: DryRun = False
) -> OrganisationOut | Preview[WouldCreate[OrganisationOut]]:
    """Found an organisation.

    Its members, keys and evidence are its own; nobody of another organisation sees that they exist.
    """
    actor = call.actor
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        organisation = await commands.create_organisation(tx, body.organisation(), actor)
    return created(OrganisationOut.of(organisation), dry_run=dry_run)


async def list_organisations(call: Call, query: ListQuery) -> Reply[list[OrganisationOut]]:
    """List the organisations the caller may see: its own, or all for the platform's administrators."""
    caller = call.caller
    only = None if caller.may(Permission.PLATFORM_MANAGE) else caller.org_id
    async with call.services.database.read() as reader:
        page = await queries.list_organisations(reader, only, query.window())
    return Reply([OrganisationOut.of(one) for one in page.items], headers=list_headers(call.request, page))


async def get_organisation(call: Call, organisation: str) -> OrganisationOut:
    """Read one organisation, named by its slug or its id."""
    caller = call.caller
    async with call.services.database.read() as reader:
        found = await queries.organisation_by_slug_or_id(reader, organisation)
    if found is None or (found.id != caller.org_id and not caller.may(Permission.PLATFORM_MANAGE)):
        raise NotFound(f"There is no organisation '{organisation}'.")
    return OrganisationOut.of(found)
