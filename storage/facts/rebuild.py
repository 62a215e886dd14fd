"""Rebuilding what is derived from trails and attestations: latest results, the status of trails, edges, counters."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

from domain.tenant import Tenant
from storage.database import LONG, Database, Transaction
from storage.facts.commands.judgements import judge_attestations
from storage.facts.commands.status import judge_trails, lock_trails
from storage.rebuild import Count, Progress

CHUNK = 500
"""Trails locked and judged in one transaction."""

COUNTS = (
    Count.of_all("flows", "flows", "archived_at IS NULL"),
    Count.of_all("verdicts", "verdicts"),
    Count.of_all("webhook_configs", "webhook_configs", "archived_at IS NULL"),
    Count.of_all("evidence_bytes", "evidence", "external_url IS NULL", number="sum(size)::bigint"),
    Count.by("flow_id", "trails", "trails"),
    Count.by("trail_id", "attestations", "attestations"),
    Count.by("trail_id", "evidence", "evidence"),
    Count.by("trail_id", "artifacts", "artifact_reports"),
)

_NEXT_TRAILS = """
SELECT id, created_at FROM trails WHERE org_id = $1 AND (created_at, id) > ($2, $3) ORDER BY created_at, id LIMIT $4
"""

_SEVERAL = """
SELECT DISTINCT a.id FROM attestations a JOIN attestation_results r ON r.attestation_id = a.id AND r.n > 1
WHERE a.org_id = $1 AND a.trail_id = ANY($2::uuid[])
"""

_PLACE = "trail_id, slot, digest, identity"
_VALUES = ("org_id", "name", "type", "run", "earlier_runs", "attestation_id", "result_n", "status", "observed_at")
_LATEST = f"""
WITH facts AS MATERIALIZED (
  SELECT a.org_id, a.trail_id, coalesce(a.slot, '') AS slot, coalesce(a.digest, '') AS digest, a.identity,
         nullif(a.name, '') AS name, a.type, a.run, a.id AS attestation_id, a.observed_at
  FROM attestations a WHERE a.org_id = $1 AND a.trail_id = ANY($2::uuid[])
), newest AS (
  SELECT DISTINCT ON ({_PLACE}) * FROM facts ORDER BY {_PLACE}, observed_at DESC, attestation_id DESC
), runs AS (
  SELECT {_PLACE}, array_agg(DISTINCT run ORDER BY run) AS runs FROM facts WHERE run IS NOT NULL GROUP BY {_PLACE}
), fresh AS MATERIALIZED (
  SELECT newest.*, nullif(array_remove(runs.runs, newest.run), '{{}}') AS earlier_runs, r.n AS result_n, r.status
  FROM newest LEFT JOIN runs USING ({_PLACE}) LEFT JOIN judgements j USING (attestation_id)
  JOIN attestation_results r ON r.attestation_id = newest.attestation_id AND r.n = coalesce(j.result_n, 1)
), dropped AS (
  DELETE FROM latest_results h
  WHERE h.trail_id = ANY($2) AND NOT EXISTS (
    SELECT FROM fresh f
    WHERE f.trail_id = h.trail_id AND f.slot = h.slot AND f.digest = h.digest AND f.identity = h.identity)
  RETURNING true
), written AS (
  INSERT INTO latest_results AS h ({_PLACE}, {", ".join(_VALUES)}, superseded)
  SELECT {_PLACE}, {", ".join(_VALUES)}, false FROM fresh
  ON CONFLICT ({_PLACE}) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in _VALUES)}
  WHERE ({", ".join(f"h.{name}" for name in _VALUES)})
        IS DISTINCT FROM ({", ".join(f"excluded.{name}" for name in _VALUES)})
  RETURNING true
)
SELECT (SELECT count(*) FROM dropped) + (SELECT count(*) FROM written)
"""

_STRAY_JUDGEMENTS = """
DELETE FROM judgements j
WHERE j.org_id = $1
  AND NOT EXISTS (SELECT FROM attestation_results r WHERE r.attestation_id = j.attestation_id AND r.n > 1)
"""
_STRAY_RESULTS = """
DELETE FROM latest_results h
WHERE h.org_id = $1 AND NOT EXISTS (SELECT FROM trails t WHERE t.id = h.trail_id AND t.org_id = h.org_id)
"""


async def rebuild_latest_results(database: Database, tenant: Tenant) -> AsyncIterator[Progress]:
    """Rebuild the judgements and latest results of every trail, and then its status; `seen` counts trails.

    The trails of a chunk are locked, as they are by reports, so a report waits for one chunk at most.
    """
    async with database.transaction() as tx:
        mended = await tx.execute(_STRAY_JUDGEMENTS, tenant.org_id)
    seen = 0
    after = (datetime.min.replace(tzinfo=UTC), UUID(int=0))
    while True:
        async with database.transaction() as tx:
            rows = await tx.rows(_NEXT_TRAILS, tenant.org_id, *after, CHUNK)
            if not rows:
                mended += await tx.execute(_STRAY_RESULTS, tenant.org_id)
                break
            mended += await _rebuild_chunk(tx, tenant, [row["id"] for row in rows])
        seen, after = seen + len(rows), (rows[-1]["created_at"], rows[-1]["id"])
        yield Progress(seen, mended)
    yield Progress(seen, mended)


async def _rebuild_chunk(tx: Transaction, tenant: Tenant, trail_ids: list[UUID]) -> int:
    trails = await lock_trails(tx, tenant, trail_ids)
    several = [row["id"] for row in await tx.rows(_SEVERAL, tenant.org_id, trail_ids)]
    judged = await judge_attestations(tx, tenant, several)
    latest: int = await tx.value(_LATEST, tenant.org_id, trail_ids)
    changed, marked = await judge_trails(tx, tenant, trails)
    return judged + latest + marked + len(changed)


_BUILT = """
SELECT CASE WHEN t.git_repository <> '' THEN t.git_repository || '@' || t.git_commit_sha ELSE t.git_commit_sha END
         AS to_key, t.id AS from_id, e.id AS event_id
FROM trails t JOIN audit_events e ON e.record_id = t.id AND e.record_version = 1 AND e.name = 'trail.created'
WHERE t.org_id = $1 AND e.org_id = $1
"""
_REPORTED = """
SELECT DISTINCT ON (r.digest, r.trail_id) r.digest AS to_key, r.trail_id AS from_id, e.id AS event_id
FROM artifact_reports r JOIN audit_events e ON e.record_id = r.id AND e.name = 'artifact.reported'
WHERE r.org_id = $1 AND e.org_id = $1
ORDER BY r.digest, r.trail_id, e.id
"""
_EDGES_FROM_TRAILS = (("commit", "built", _BUILT), ("digest", "reported", _REPORTED))
"""For each kind of edge: the kind of its target, its relation, and SQL for the facts that it is derived from."""

_EDGES = """
WITH fresh AS MATERIALIZED ({facts}), dropped AS (
  DELETE FROM edges o
  WHERE o.org_id = $1 AND o.to_kind = $2 AND o.from_kind = 'trail' AND o.relation = $3
    AND NOT EXISTS (SELECT FROM fresh f WHERE f.to_key = o.to_key AND f.from_id = o.from_id)
  RETURNING true
), written AS (
  INSERT INTO edges AS o (org_id, to_kind, to_key, from_kind, from_id, relation, event_id)
  SELECT $1, $2, to_key, 'trail', from_id, $3, event_id FROM fresh
  ON CONFLICT (org_id, to_kind, to_key, from_kind, from_id, relation) DO UPDATE SET event_id = excluded.event_id
  WHERE o.event_id <> excluded.event_id
  RETURNING true
)
SELECT (SELECT count(*) FROM fresh) AS seen,
       (SELECT count(*) FROM dropped) + (SELECT count(*) FROM written) AS mended
"""


async def rebuild_edges(database: Database, tenant: Tenant) -> AsyncIterator[Progress]:
    """Rebuild the edges between trails and the commits and digests that they were opened for or that they reported.

    One statement for each kind of edge needs no lock: a fact, its event and its edge are committed together, so the
    statement sees all or none of them.
    """
    seen = mended = 0
    for to_kind, relation, facts in _EDGES_FROM_TRAILS:
        async with database.transaction() as tx:
            await tx.execute("SET LOCAL statement_timeout = 0")
            sql = _EDGES.format(facts=facts)
            row = await tx.connection.fetchrow(sql, tenant.org_id, to_kind, relation, timeout=LONG)
        seen, mended = (seen + row["seen"], mended + row["mended"]) if row else (seen, mended)
        yield Progress(seen, mended)
