"""Reading allow-lists, and finding what they let through."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.environments.allow_list import AllowListEntry, Use, matching
from domain.environments.artifacts import Running
from domain.tenant import Tenant
from storage.database import Reader
from storage.environments.queries.environments import get_environment
from storage.paging import Cursor, Listing, Page, Window
from storage.rows import from_row

_COLUMNS = """
a.id, a.org_id, a.environment_id, a.digest, a.name, a.pattern, a.reason, coalesce(
  a.claimed_by, (SELECT username FROM principals w WHERE w.id = a.added_by AND w.erased_at IS NULL), a.added_by::text
) AS approver, a.created_at, a.expires_at, r.created_at AS removed_at, (
  SELECT u.created_at FROM allowlist_uses u
  WHERE u.org_id = a.org_id AND u.entry_id = a.id ORDER BY u.created_at, u.id LIMIT 1
) AS first_used_at
"""
_EFFECTIVE = "r.id IS NULL AND coalesce(a.expires_at, 'infinity'::timestamptz) > {}"
_INEFFECTIVE = "(r.id IS NOT NULL OR a.expires_at <= {})"

_ENTRIES = Listing(
    "allow-list entry",
    _COLUMNS,
    "allowlist a LEFT JOIN allowlist_removals r ON r.entry_id = a.id",
    from_row(AllowListEntry),
    alias="a.",
)
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
{_ENTRIES.select}
WHERE a.org_id = $1 AND a.environment_id = $2 AND {_EFFECTIVE.format("$3")}
ORDER BY a.created_at, a.id
"""


async def effective_entries(reader: Reader, tenant: Tenant, environment_id: UUID, at: datetime) -> list[AllowListEntry]:
    """Return the entries that let artifacts through at this time, oldest first: MAX_ENTRIES at most."""
    return [_ENTRIES.make(row) for row in await reader.rows(_ALL_EFFECTIVE, tenant.org_id, environment_id, at)]


async def allowed(
    reader: Reader, tenant: Tenant, environment_id: UUID, artifacts: Collection[Running], at: datetime
) -> Mapping[Running, AllowListEntry]:
    """Return which of these artifacts are allowed at a time, each with the entry that lets it through."""
    entries = await effective_entries(reader, tenant, environment_id, at)
    if any(entry.pattern for entry in entries):  # a thread, as the worst pattern takes a millisecond for one name
        return await asyncio.to_thread(matching, entries, artifacts)
    return matching(entries, artifacts)


@dataclass(frozen=True, slots=True)
class Expiry:
    """An entry that expired, in an environment that is not archived."""

    entry_id: UUID
    environment_id: UUID
    org_id: UUID
    org_slug: str
    expires_at: datetime

    @property
    def tenant(self) -> Tenant:
        """The organisation."""
        return Tenant(self.org_id, self.org_slug)

    @property
    def cursor(self) -> Cursor:
        """Its place in the order of `expired_since`."""
        return Cursor(self.expires_at, self.entry_id)


_expiry = from_row(Expiry)
_EXPIRED = """
SELECT a.id AS entry_id, a.environment_id, a.org_id, o.slug AS org_slug, a.expires_at
FROM allowlist a JOIN environments e ON e.id = a.environment_id JOIN organisations o ON o.id = a.org_id
WHERE (a.expires_at, a.id) > ($1, $2) AND a.expires_at <= $3 AND e.archived_at IS NULL
  AND NOT EXISTS (SELECT FROM allowlist_removals r WHERE r.entry_id = a.id)
ORDER BY a.expires_at, a.id LIMIT $4
"""


async def expired_since(reader: Reader, since: Cursor, until: datetime, limit: int) -> list[Expiry]:
    """Return the first entries, over all organisations, that expired after a place and at this time at the latest.

    The next call continues from the `cursor` of the last one. Entries that were removed before are left out.
    """
    return [_expiry(row) for row in await reader.rows(_EXPIRED, since.time, since.id, until, limit)]
