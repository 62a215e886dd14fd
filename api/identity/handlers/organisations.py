"""Handlers of organisations."""

from api.http.calls import Call, Reply
from api.http.dry_runs import Created, DryRun, created
from api.http.paging import ListQuery, list_reply
from api.identity.schemas.organisations import OrganisationIn, OrganisationOut
from domain.errors import NotFound
from domain.identity.permissions import Permission
from storage.identity.commands import organisations as commands
from storage.identity.queries import organisations as queries


async def create_organisation(call: Call, body: OrganisationIn, dry_run: DryRun = False) -> Created[OrganisationOut]:
    """Create an organisation.

    Its members, API keys and evidence are isolated: other organisations cannot see that they exist.
    """
    async with call.transaction(dry_run=dry_run) as tx:
        organisation = await commands.create_organisation(tx, body.to_command(), call.actor)
    return created(OrganisationOut.of(organisation, call), dry_run=dry_run)


async def list_organisations(call: Call, query: ListQuery) -> Reply[list[OrganisationOut]]:
    """List the organisations, oldest first.

    The caller's own organisation, or all of them for platform administrators.
    """
    caller = call.caller
    only = None if caller.may(Permission.PLATFORM_MANAGE) else caller.org_id
    async with call.read() as reader:
        page = await queries.list_organisations(reader, only, query.window())
    return list_reply(call, page, OrganisationOut)


async def get_organisation(call: Call, organisation: str) -> OrganisationOut:
    """Get an organisation by its slug or id."""
    caller = call.caller
    async with call.read() as reader:
        found = await queries.organisation_by_slug_or_id(reader, organisation)
    if found is None or (found.id != caller.org_id and not caller.may(Permission.PLATFORM_MANAGE)):
        raise NotFound(f"There is no organisation '{organisation}'.")
    return OrganisationOut.of(found, call)
