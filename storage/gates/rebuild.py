"""Rebuilding what is derived: what became of approvals, and the daily sums of security scans."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

from domain.tenant import Tenant
from storage.database import LONG, Database
from storage.rebuild import Progress

CHUNK = 500
"""Approvals locked and compared in one transaction."""

_NEXT = """
SELECT id, created_at FROM approvals
WHERE org_id = $1 AND (created_at, id) > ($2, $3) ORDER BY created_at, id LIMIT $4 FOR NO KEY UPDATE
"""
_MEND = """
WITH fresh AS MATERIALIZED (
  SELECT a.id,
         CASE WHEN o.id IS NOT NULL THEN o.resolution WHEN e.id IS NOT NULL THEN 'EXPIRED' ELSE 'PENDING_APPROVAL' END
           AS status,
         CASE WHEN o.id IS NOT NULL THEN o.resolved_at WHEN e.id IS NOT NULL THEN a.deadline END AS resolved_at,
         EXISTS (SELECT FROM approval_decisions d WHERE d.approval_id = a.id AND d.overrides) AS overridden
  FROM approvals a
  LEFT JOIN approval_outcomes o ON o.id = a.id
  LEFT JOIN audit_events e ON e.org_id = a.org_id AND e.trail_id = a.trail_id AND e.name = 'approval.expired'
    AND e.payload ->> 'approvalId' = a.id::text
  WHERE a.id = ANY($1::uuid[])
)
UPDATE approvals a
SET status = f.status, resolved_at = f.resolved_at, overridden = f.overridden,
    remind_at = CASE WHEN f.status = 'PENDING_APPROVAL' THEN a.remind_at END
FROM fresh f
WHERE a.id = f.id AND (a.status, a.resolved_at, a.overridden) IS DISTINCT FROM (f.status, f.resolved_at, f.overridden)
"""


async def rebuild_approvals(database: Database, tenant: Tenant) -> AsyncIterator[Progress]:
    """Rebuild the status of every approval; `seen` counts them.

    The approvals of a chunk are locked, so a decision waits for one chunk at most.
    """
    seen = mended = 0
    after = (datetime.min.replace(tzinfo=UTC), UUID(int=0))
    while True:
        async with database.transaction() as tx:
            rows = await tx.rows(_NEXT, tenant.org_id, *after, CHUNK)
            if not rows:
                break
            mended += await tx.execute(_MEND, [row["id"] for row in rows])
        seen, after = seen + len(rows), (rows[-1]["created_at"], rows[-1]["id"])
        yield Progress(seen, mended)
    yield Progress(seen, mended)


_SUMS = ("scans", "critical", "high", "medium", "low", "with_critical")
_ALONE = "LOCK TABLE security_scan_days IN SHARE ROW EXCLUSIVE MODE"
_DAYS = f"""
WITH fresh AS MATERIALIZED (
  SELECT flow_id, date_trunc('day', created_at, 'UTC') AS day, tool, count(*) AS scans,
         sum(critical) AS critical, sum(high) AS high, sum(medium) AS medium, sum(low) AS low,
         count(*) FILTER (WHERE critical > 0) AS with_critical
  FROM security_scans WHERE org_id = $1 GROUP BY 1, 2, 3
), dropped AS (
  DELETE FROM security_scan_days d
  WHERE org_id = $1
    AND NOT EXISTS (SELECT FROM fresh f WHERE f.flow_id = d.flow_id AND f.day = d.day AND f.tool = d.tool)
  RETURNING true
), written AS (
  INSERT INTO security_scan_days AS d (org_id, flow_id, day, tool, {", ".join(_SUMS)})
  SELECT $1, flow_id, day, tool, {", ".join(_SUMS)} FROM fresh
  ON CONFLICT (org_id, flow_id, day, tool) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _SUMS)}
  WHERE ({", ".join(f"d.{name}" for name in _SUMS)})
        IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in _SUMS)})
  RETURNING true
)
SELECT (SELECT count(*) FROM fresh) AS seen,
       (SELECT count(*) FROM dropped) + (SELECT count(*) FROM written) AS mended
"""


async def rebuild_scan_days(database: Database, tenant: Tenant) -> AsyncIterator[Progress]:
    """Add up the scans of each day again; scans that are recorded meanwhile wait until it is done."""
    async with database.transaction() as tx:
        await tx.execute("SET LOCAL statement_timeout = 0")
        await tx.execute(_ALONE)
        row = await tx.connection.fetchrow(_DAYS, tenant.org_id, timeout=LONG)
    yield Progress(row["seen"], row["mended"]) if row else Progress(0, 0)
