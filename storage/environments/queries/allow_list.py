"""Reading allow-lists, and finding what they let through."""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from domain.environments.allow_list import AllowListEntry, Use, matching
from domain.environments.artifacts import Running
from domain.tenant import Tenant
from storage.database import Reader
from storage.environments.queries.environments import get_environment
from storage.identity.queries.principals import reporter
from storage.paging import Listing, Page, Window
from storage.rows import from_row
from storage.threads import in_thread_if

_REMOVED_AT = "(SELECT r.created_at FROM allowlist_removals r WHERE r.entry_id = a.id)"
_COLUMNS = f"""
a.id, a.org_id, a.environment_id, a.digest, a.name, a.pattern, a.reason, {reporter("a.added_by")} AS approver,
a.created_at, a.expires_at, {_REMOVED_AT} AS removed_at, (
  SELECT u.created_at FROM allowlist_uses u
  WHERE u.org_id = a.org_id AND u.entry_id = a.id ORDER BY u.created_at, u.id LIMIT 1
) AS first_used_at
"""
_EFFECTIVE = f"coalesce(a.expires_at, 'infinity'::timestamptz) > {{}} AND {_REMOVED_AT} IS NULL"
_INEFFECTIVE = f"(a.expires_at <= {{}} OR {_REMOVED_AT} IS NOT NULL)"

_ENTRIES = Listing("allow-list entry", _COLUMNS, "allowlist a", from_row(AllowListEntry), alias="a.")
_USES = Listing.plain(Use, "allowlist_uses", "use of an allow-list entry")


async def list_entries(
    reader: Reader,
    tenant: Tenant,
    environment_id: UUID,
    window: Window,
    at: datetime,
    *,
    effective: bool | None = None,
) -> Page[AllowListEntry]:
    """List the entries of an environment, oldest first: all, or those that are or are not effective at a time.

    Raises NotFound for the environment.
    """
    await get_environment(reader, tenant, environment_id)
    filters = {} if effective is None else {_EFFECTIVE if effective else _INEFFECTIVE: at}
    within = {"a.environment_id = {}": environment_id}
    return await _ENTRIES.page(reader, tenant.unscoped, window, within=within, filters=filters)


async def get_entry(reader: Reader, tenant: Tenant, environment_id: UUID, entry_id: UUID) -> AllowListEntry:
    """Return an entry of an environment, also a removed one. Raises NotFound for it or the environment."""
    await get_environment(reader, tenant, environment_id)
    return await read_entry(reader, tenant, environment_id, entry_id)


async def read_entry(reader: Reader, tenant: Tenant, environment_id: UUID, entry_id: UUID) -> AllowListEntry:
    """Return an entry of an environment that is known to be there. Raises NotFound."""
    entry = await _ENTRIES.get(reader, tenant.unscoped, entry_id)
    if entry.environment_id != environment_id:
        raise _ENTRIES.missing(entry_id)
    return entry


async def list_uses(reader: Reader, tenant: Tenant, environment_id: UUID, entry_id: UUID, window: Window) -> Page[Use]:
    """List what an entry let through, in the order of the first times. Raises NotFound for it or the environment."""
    await get_entry(reader, tenant, environment_id, entry_id)
    return await _USES.page(reader, tenant.unscoped, window, within={"entry_id = {}": entry_id})


_ALL_EFFECTIVE = f"""
SELECT found.* FROM unnest($2::uuid[]) AS wanted(id) CROSS JOIN LATERAL (
  {_ENTRIES.select} WHERE a.org_id = $1 AND a.environment_id = wanted.id AND {_EFFECTIVE.format("coalesce($3, now())")}
) AS found ORDER BY found.created_at, found.id
"""


async def effective_entries(
    reader: Reader, tenant: Tenant, environment_ids: Collection[UUID], at: datetime | None = None
) -> Mapping[UUID, list[AllowListEntry]]:
    """Return the entries of each environment that let artifacts through at a time, or now, oldest first."""
    found: dict[UUID, list[AllowListEntry]] = {one: [] for one in environment_ids}
    for row in await reader.rows(_ALL_EFFECTIVE, tenant.org_id, list(found), at):
        found[row["environment_id"]].append(_ENTRIES.make(row))
    return found


async def allowed_artifacts(
    reader: Reader, tenant: Tenant, artifacts: Mapping[UUID, Collection[Running]], at: datetime
) -> Mapping[UUID, Mapping[Running, AllowListEntry]]:
    """Return which artifacts of each environment are allowed at a time, each with the entry that lets it through."""
    entries = await effective_entries(reader, tenant, artifacts.keys(), at)

    def match() -> Mapping[UUID, Mapping[Running, AllowListEntry]]:
        return {one: matching(entries[one], running) for one, running in artifacts.items()}

    slow = any(entry.pattern for found in entries.values() for entry in found)
    return await in_thread_if(slow, match)  # the worst pattern takes milliseconds for one name
