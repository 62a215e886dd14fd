"""Exact totals without counting: each fact is written with a delta, and a sweep adds the deltas to the counters."""

from uuid import UUID

from domain.tenant import Tenant
from storage.database import Reader, Transaction
from storage.rows import insert

NO_PARENT = UUID(int=0)
"""The parent id of a counter for the whole organisation."""


_TOTAL = """
SELECT coalesce((SELECT n FROM counters WHERE org_id = $1 AND kind = $2 AND parent_id = $3), 0)
     + coalesce((SELECT sum(d) FROM counter_deltas WHERE org_id = $1 AND kind = $2 AND parent_id = $3), 0)
"""

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
)
SELECT coalesce(sum(rows), 0) FROM sums
"""


async def total(reader: Reader, tenant: Tenant, kind: str, parent_id: UUID = NO_PARENT) -> int:
    """Return the current total: the counter plus the deltas that are not folded yet."""
    return int(await reader.value(_TOTAL, tenant.org_id, kind, parent_id))


async def adjust(tx: Transaction, tenant: Tenant, kind: str, parent_id: UUID, by: int) -> None:
    """Change a total in the transaction of what it counts. Increments usually go through `audit.commands.append`."""
    delta = {"id": tx.new_id(), "org_id": tenant.org_id, "kind": kind, "parent_id": parent_id, "d": by}
    await insert(tx, "counter_deltas", delta)


async def fold(tx: Transaction, limit: int) -> int:
    """Fold up to `limit` deltas into their counters and return how many were folded."""
    return int(await tx.value(_FOLD, limit))
