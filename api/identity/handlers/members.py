"""Handlers of members. The organisation in the path is the one that the caller acts in."""

# ruff: noqa: ARG001 - authentication reads the organisation in the path: it becomes `call.tenant`

from uuid import UUID

from api.http.calls import Call, Reply
from api.http.dry_runs import Created, Deleted, DryRun, Updated, created, deleted, updated, versioned
from api.http.paging import ListQuery, list_reply
from api.identity.schemas.users import MemberChangeIn, MemberIn, MemberOut
from domain.errors import NotFound
from domain.identity.grants import check_role
from storage.identity.commands import members as commands
from storage.identity.queries import principals as queries


async def add_member(call: Call, organisation: str, body: MemberIn, dry_run: DryRun = False) -> Created[MemberOut]:
    """Make a user a member.

    The user exists already: see `POST /api/v1/users`.
    """
    check_role(call.caller, body.role.role)
    address = body.address
    async with call.transaction(dry_run=dry_run) as tx:
        user_id = body.user_id if address is None else await queries.user_with_email(tx, address)
        if user_id is None:
            raise NotFound(f"There is no user with the e-mail address '{address}'.")
        member = await commands.add_member(tx, call.tenant, user_id, body.role.role, call.actor)
    return created(MemberOut.of(member, call), dry_run=dry_run)


async def list_members(call: Call, organisation: str, query: ListQuery) -> Reply[list[MemberOut]]:
    """List the members, oldest first."""
    async with call.read() as reader:
        page = await queries.list_members(reader, call.tenant, query.window())
    return list_reply(call, page, MemberOut)


async def get_member(call: Call, organisation: str, user_id: UUID) -> Reply[MemberOut]:
    """Get a member."""
    async with call.read() as reader:
        return versioned(MemberOut.of(await queries.get_member(reader, call.tenant, user_id), call))


async def update_member(
    call: Call, organisation: str, user_id: UUID, body: MemberChangeIn, dry_run: DryRun = False
) -> Updated[MemberOut]:
    """Change a member's role, at once for all of the member's keys.

    The last administrator keeps the role.
    """
    check_role(call.caller, body.role.role)
    async with call.transaction(dry_run=dry_run) as tx:
        member = await commands.change_member(tx, call.tenant, user_id, body.role.role, call.actor)
    return updated(MemberOut.of(member, call), dry_run=dry_run)


async def remove_member(call: Call, organisation: str, user_id: UUID, dry_run: DryRun = False) -> Deleted[MemberOut]:
    """Remove a member.

    The member's keys of this organisation stop at once. The last administrator stays.
    """
    async with call.transaction(dry_run=dry_run) as tx:
        gone = await commands.remove_member(tx, call.tenant, user_id, call.actor)
    return deleted(MemberOut.of(gone, call), dry_run=dry_run)
