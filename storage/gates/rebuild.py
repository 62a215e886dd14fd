"""Rebuilding what is derived from security scans: their daily sums."""

from collections.abc import AsyncIterator

from domain.tenant import Tenant
from storage.database import LONG, Database
from storage.rebuild import Progress

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
