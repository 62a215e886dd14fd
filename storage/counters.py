"""Exact totals without counting: each fact is written with a delta, and a sweep adds the deltas to the counters.

What an organisation used of a quota is counted here as well (`storage.identity.commands.quotas`). The counter of a rate
has the number of its period in place of a parent.
"""

from uuid import UUID

from domain.identity.quotas import PERIODS
from domain.tenant import Tenant
from storage.database import Reader, Transaction
from storage.rows import insert

NO_PARENT = UUID(int=0)
"""The parent id of a counter for the whole organisation."""

SUPPRESSED = "messages_suppressed"
"""Counts the messages of an organisation that were not sent because they exceeded its quota."""


def total_of(kind: str, parent_id: str) -> str:
    """Return SQL for a total of organisation $1; the arguments are SQL for the kind and the parent."""
    place = f"c.org_id = $1 AND c.kind = {kind} AND c.parent_id = {parent_id}"
    return (
        f"(coalesce((SELECT n FROM counters c WHERE {place}), 0)"
        f" + coalesce((SELECT sum(d) FROM counter_deltas c WHERE {place}), 0))::bigint"
    )


_TOTAL = f"SELECT {total_of('$2', '$3')}"

_FOLD = """
WITH taken AS (
  DELETE FROM counter_deltas
  WHERE id = ANY(ARRAY(SELECT id FROM counter_deltas ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED))
  RETURNING org_id, kind, parent_id, d
), sums AS (
  SELECT org_id, kind, parent_id, sum(d) AS d, count(*) AS rows FROM taken GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
), folded AS (
  INSERT INTO counters (org_id, kind, parent_id, n)
  SELECT org_id, kind, parent_id, d FROM sums
  ON CONFLICT (org_id, kind, parent_id) DO UPDATE SET n = counters.n + excluded.n
), forgotten AS (
  DELETE FROM counters WHERE ctid = ANY(ARRAY(
    SELECT c.ctid FROM sums s
    JOIN counters c ON c.org_id = s.org_id AND c.kind = s.kind AND c.parent_id < s.parent_id
    WHERE s.kind = ANY($2::text[]) AND (c.org_id, c.kind, c.parent_id) NOT IN (SELECT org_id, kind, parent_id FROM sums)
    FOR UPDATE OF c SKIP LOCKED
  ))
)
SELECT coalesce(sum(rows), 0) FROM sums
"""
"""Forgets the earlier periods of a rate; one that is being folded stays until a later fold."""


async def total(reader: Reader, tenant: Tenant, kind: str, parent_id: UUID = NO_PARENT) -> int:
    """Return the current total: the counter plus the deltas that are not folded yet."""
    return int(await reader.value(_TOTAL, tenant.org_id, kind, parent_id))


async def adjust(tx: Transaction, tenant: Tenant, kind: str, parent_id: UUID, by: int) -> None:
    """Change a total in the transaction of what it counts. Increments usually go through `audit.commands.append`."""
    delta = {"id": tx.new_id(), "org_id": tenant.org_id, "kind": kind, "parent_id": parent_id, "d": by}
    await insert(tx, "counter_deltas", delta)


async def fold(tx: Transaction, limit: int) -> int:
    """Fold up to `limit` deltas into their counters and return how many were folded."""
    return int(await tx.value(_FOLD, limit, list(PERIODS)))
