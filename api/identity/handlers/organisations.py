"""Handlers of organisations."""

# ruff: noqa: ARG001 - authentication reads the organisation in the path: it becomes `call.tenant`

from api.http.calls import Call, Reply
from api.http.dry_runs import Created, Deleted, DryRun, Updated, created, deleted, updated, versioned
from api.http.paging import ListQuery, list_reply
from api.http.versions import IfMatch, expected_versions
from api.identity.schemas.organisations import DeletionQuery, OrganisationChangeIn, OrganisationIn, OrganisationOut
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


async def get_organisation(call: Call, organisation: str) -> Reply[OrganisationOut]:
    """Get an organisation by its slug or id."""
    async with call.read() as reader:
        found = await queries.organisation_by_slug_or_id(reader, call.tenant.org_slug)
    if found is None:
        raise NotFound(f"There is no organisation '{organisation}'.")
    return versioned(OrganisationOut.of(found, call))


async def update_organisation(
    call: Call,
    organisation: str,
    body: OrganisationChangeIn,
    dry_run: DryRun = False,
    if_match: IfMatch = None,
) -> Updated[OrganisationOut]:
    """Change an organisation's name or description."""
    async with call.transaction(dry_run=dry_run) as tx:
        changed = await commands.update_organisation(
            tx, call.tenant, body.to_command(), call.actor, expected=expected_versions(if_match)
        )
    return updated(OrganisationOut.of(changed, call), dry_run=dry_run)


async def delete_organisation(
    call: Call, organisation: str, query: DeletionQuery, dry_run: DryRun = False, if_match: IfMatch = None
) -> Deleted[OrganisationOut]:
    """Delete an organisation that nothing belongs to.

    While it has people, unanswered invitations, service accounts, workload identities, API keys, flows, trails, webhook
    configs or notification rules, the answer is 409 with their numbers. Its ledger is kept. Only administrators of the
    organisation `default` may do this.
    """
    expected, with_last_member = expected_versions(if_match), query.with_last_member
    async with call.transaction(dry_run=dry_run) as tx:
        gone = await commands.delete_organisation(
            tx, call.tenant, call.actor, with_last_member=with_last_member, expected=expected
        )
    return deleted(OrganisationOut.of(gone, call), dry_run=dry_run)
