"""Rebuilding derived tables from facts: the progress that every rebuild reports, and the rebuild of the counters."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import asyncpg

from domain.tenant import Tenant
from storage.counters import NO_PARENT
from storage.database import LONG, Database, Transaction


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a rebuild: derived rows examined so far, and how many were wrong, missing or superfluous."""

    seen: int
    mended: int


Rebuild = Callable[[Database, Tenant], AsyncIterator[Progress]]
"""Rebuilds one kind of derived row for one organisation; yields after every committed step."""


@dataclass(frozen=True, slots=True)
class Count:
    """One kind of counter. `facts` selects `parent_id` and the bigint `n` of organisation $1, without parents of zero.

    Each counted row must be written in the same transaction as its delta.
    """

    kind: str
    facts: str

    @classmethod
    def of_all(cls, kind: str, table: str, condition: str = "true", number: str = "count(*)") -> "Count":
        """Count rows of the whole organisation, or what `number` says of them.

        The arguments are trusted names and SQL, never input.
        """
        return cls(
            kind,
            f"SELECT '{NO_PARENT}'::uuid AS parent_id, {number} AS n FROM {table} "
            f"WHERE org_id = $1 AND {condition} HAVING count(*) > 0",
        )

    @classmethod
    def by(cls, parent: str, kind: str, table: str) -> "Count":
        """Count rows for each value of the column `parent`."""
        return cls(
            kind,
            f"SELECT {parent} AS parent_id, count(*) AS n FROM {table} WHERE org_id = $1 GROUP BY {parent}",
        )


CORE_COUNTS = (
    Count.of_all("audit", "audit_events"),
    Count.of_all("api_keys", "api_keys", "revoked_at IS NULL"),
    Count.of_all("users", "principals", "kind = 'user' AND name IS NOT NULL AND archived_at IS NULL"),
    Count.of_all("members", "memberships", "kind = 'user' AND archived_at IS NULL"),
    Count.of_all("service_accounts", "principals", "kind = 'service' AND name IS NOT NULL AND archived_at IS NULL"),
    Count.of_all("workload_identities", "workload_identities", "archived_at IS NULL"),
    Count.of_all("invitations", "invitations", "accepted_at IS NULL AND revoked_at IS NULL"),
    Count.of_all("environments", "environments", "kind = 'physical' AND archived_at IS NULL"),
    Count.of_all("logical_environments", "environments", "kind = 'logical' AND archived_at IS NULL"),
    Count.of_all("notification_rules", "notification_rules", "archived_at IS NULL"),
)
"""The counters of the core. Those of rates are not recounted: they begin anew with their period."""

_ATTEMPTS = 5

_LARGEST_DELTA = 1_000_000_000

_HOLD = (
    "SELECT count(*) FROM (SELECT FROM counter_deltas WHERE org_id = $1 AND kind = $2 FOR UPDATE) AS held",
    "SELECT count(*) FROM (SELECT FROM counters WHERE org_id = $1 AND kind = $2 ORDER BY parent_id FOR UPDATE) AS held",
)
"""Locks in the order in which a fold takes them, to avoid a deadlock with it."""

_RECOUNT = """
WITH fresh AS MATERIALIZED ({facts}), totals AS (
  DELETE FROM counters WHERE org_id = $1 AND kind = $2 RETURNING parent_id, n
), deltas AS (
  DELETE FROM counter_deltas WHERE org_id = $1 AND kind = $2 RETURNING parent_id, d
), before AS (
  SELECT parent_id, sum(n) AS n FROM (SELECT * FROM totals UNION ALL SELECT * FROM deltas) AS rows GROUP BY parent_id
), written AS (
  INSERT INTO counter_deltas (id, org_id, kind, parent_id, d)
  SELECT gen_random_uuid(), $1, $2, parent_id, least($3, n - start)
  FROM fresh CROSS JOIN LATERAL generate_series(0, n - 1, $3::bigint) AS start
)
SELECT (SELECT count(*) FROM fresh) AS seen,
       (SELECT count(*) FROM before FULL JOIN fresh USING (parent_id)
        WHERE coalesce(before.n, 0) <> coalesce(fresh.n, 0)) AS mended
"""


async def rebuild_counters(database: Database, tenant: Tenant, counts: tuple[Count, ...]) -> AsyncIterator[Progress]:
    """Recount exactly while others write; only a concurrent fold has to wait.

    A fact and its delta are committed together, so one snapshot shows both or neither: facts in the snapshot are
    counted and their deltas deleted, later facts keep their delta. The new totals are written as deltas for the sweep
    to fold, because a fold may have inserted the counter's row after the snapshot.
    """
    seen = mended = 0
    for count in counts:
        found = await _recounted(database, tenant, count)
        seen, mended = seen + found.seen, mended + found.mended
        yield Progress(seen, mended)


async def _recounted(database: Database, tenant: Tenant, count: Count) -> Progress:
    """Recount one kind; try again when a fold changed its rows between the snapshot and the lock."""
    for _ in range(_ATTEMPTS - 1):
        try:
            async with database.transaction() as tx:
                return await _recount(tx, tenant, count)
        except asyncpg.SerializationError:
            continue
    async with database.transaction() as tx:
        return await _recount(tx, tenant, count)


async def _recount(tx: Transaction, tenant: Tenant, count: Count) -> Progress:
    await tx.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    await tx.execute("SET LOCAL statement_timeout = 0")
    for rows in _HOLD:
        await tx.connection.fetchval(rows, tenant.org_id, count.kind, timeout=LONG)
    sql = _RECOUNT.format(facts=count.facts)
    row = await tx.connection.fetchrow(sql, tenant.org_id, count.kind, _LARGEST_DELTA, timeout=LONG)
    return Progress(row["seen"], row["mended"]) if row else Progress(0, 0)
