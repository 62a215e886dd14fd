"""Handlers of allow-lists."""

from uuid import UUID

from api.environments.schemas.allow_list import AllowListEntryIn, AllowListEntryOut, AllowListQuery, UseOut
from api.http.calls import Call, Preview, Reply
from api.http.dry_runs import Created, DryRun, WouldDelete, created, deleted
from api.http.paging import ListQuery, list_reply
from storage.environments.commands import allow_list as commands
from storage.environments.queries import allow_list as queries


async def add_allow_list_entry(
    call: Call, environment_id: UUID, body: AllowListEntryIn, dry_run: DryRun = False
) -> Created[AllowListEntryOut]:
    """Allow artifacts to run in an environment although they are not as agreed.

    Patterns are searched for, in linear time. An environment has at most 1,000 effective entries, 100 of them with
    patterns, which may compile to 2,500 instructions together; more are refused with 409.
    """
    new = body.to_command()
    async with call.transaction(dry_run=dry_run) as tx:
        entry = await commands.add_entry(tx, call.tenant, environment_id, new, call.actor)
    return created(AllowListEntryOut.of(entry, call), dry_run=dry_run)


async def list_allow_list(call: Call, environment_id: UUID, query: AllowListQuery) -> Reply[list[AllowListEntryOut]]:
    """List the allow-list of an environment, with removed and expired entries, oldest first."""
    now = call.services.clock.now()
    async with call.read() as reader:
        page = await queries.list_entries(
            reader, call.tenant, environment_id, query.window(), now, effective=query.effective
        )
    return list_reply(call, page, AllowListEntryOut)


async def get_allow_list_entry(call: Call, environment_id: UUID, entry_id: UUID) -> AllowListEntryOut:
    """Get an entry of an allow-list."""
    async with call.read() as reader:
        entry = await queries.get_entry(reader, call.tenant, environment_id, entry_id)
    return AllowListEntryOut.of(entry, call)


async def list_allow_list_uses(
    call: Call, environment_id: UUID, entry_id: UUID, query: ListQuery
) -> Reply[list[UseOut]]:
    """List what an entry of an allow-list let through: each artifact with the first time, oldest first."""
    async with call.read() as reader:
        page = await queries.list_uses(reader, call.tenant, environment_id, entry_id, query.window())
    return list_reply(call, page, UseOut)


async def remove_allow_list_entry(
    call: Call, environment_id: UUID, entry_id: UUID, dry_run: DryRun = False
) -> Reply[AllowListEntryOut] | Preview[WouldDelete[AllowListEntryOut]]:
    """Remove an entry from an allow-list. It stays visible as removed; a second time is refused with 409."""
    async with call.transaction(dry_run=dry_run) as tx:
        entry = await commands.remove_entry(tx, call.tenant, environment_id, entry_id, call.actor)
    shown = AllowListEntryOut.of(entry, call)
    return deleted(shown, dry_run=dry_run) or Reply(shown)
