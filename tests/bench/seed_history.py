"""An environment that was reported for years: snapshots as reports make them, made inside PostgreSQL.

Every second snapshot has another version of one artifact, which drifts from the baseline, and the next one has the
approved version again. Deployments and audit events are left out: nothing that reads snapshots needs them.
"""

from uuid import UUID

import asyncpg

from tests.bench.seed import SEEDED_ID
from tests.bench.seed_flow import forget_changes

_ENVIRONMENT = """
CREATE TEMP TABLE seed_environment AS SELECT id, org_id, last_reported_at FROM environments WHERE id = $1
"""
_ARTIFACTS = """
CREATE TEMP TABLE seed_artifacts AS
SELECT row_number() OVER (ORDER BY name) - 1 AS place, count(*) OVER () AS all_artifacts, name, digest, tag
FROM running WHERE environment_id = $1
"""
_CHANGES = """
CREATE TEMP TABLE seed_changes AS
SELECT n, n % 2 = 1 AS is_approved, place, name, digest AS approved, tag AS approved_tag, other,
       (n / 2)::text AS other_tag, last_reported_at + n * interval '1 minute' AS at
FROM generate_series(2, $1::int) AS n
JOIN seed_artifacts ON place = n / 2 % all_artifacts
CROSS JOIN seed_environment
CROSS JOIN LATERAL (SELECT 'sha256:' || encode(sha256(('version ' || n / 2)::bytea), 'hex') AS other) AS versions
"""
_STATEMENTS = (
    """
INSERT INTO snapshots (id, org_id, environment_id, n, environment_version, content, artifacts, changed, changes,
                       recorded_by, created_at)
SELECT pg_temp.seeded(1, c.n, c.at), s.org_id, s.environment_id, c.n, s.environment_version,
       CASE WHEN is_approved THEN s.content ELSE sha256(c.n::text::bytea) END, s.artifacts, 2,
       jsonb_build_array(jsonb_build_array(name, approved, approved_tag, 1 - is_approved::int, is_approved::int),
                         jsonb_build_array(name, other, other_tag, is_approved::int, 1 - is_approved::int)),
       s.recorded_by, c.at
FROM seed_changes c JOIN snapshots s ON s.environment_id = (SELECT id FROM seed_environment) AND s.n = 1
ORDER BY c.n
""",
    "DELETE FROM running WHERE environment_id = (SELECT id FROM seed_environment)",
    """
INSERT INTO running (id, org_id, environment_id, during, name, digest, tag, count)
SELECT pg_temp.seeded(2 + (n = 1)::int, n * 1000 + place, last_reported_at), org_id, id,
       int4range(n, lead(n) OVER (PARTITION BY place ORDER BY n)), ran.name, digest, tag, 1
FROM (
  SELECT 1 AS n, place, name, digest, tag FROM seed_artifacts
  UNION ALL
  SELECT n, place, name, CASE WHEN is_approved THEN approved ELSE other END,
         CASE WHEN is_approved THEN approved_tag ELSE other_tag END
  FROM seed_changes
) AS ran CROSS JOIN seed_environment
ORDER BY n
""",
    """
INSERT INTO drift_reports (id, org_id, environment_id, baseline_id, n, revision, status, differences, drift,
                           drifted_since, created_at)
SELECT pg_temp.seeded(4, c.n, c.at), b.org_id, b.environment_id, b.id, c.n, 1,
       CASE WHEN is_approved THEN 'IN_SYNC' ELSE 'DRIFTED' END, 1 - is_approved::int,
       jsonb_build_object('added', '[]'::jsonb, 'removed', '[]'::jsonb, 'allowed', '[]'::jsonb, 'updated',
         CASE WHEN is_approved THEN '[]' ELSE jsonb_build_array(jsonb_build_array(
           name, jsonb_build_array(approved, approved_tag, 1), jsonb_build_array(other, other_tag, 1))) END),
       CASE WHEN is_approved THEN c.at - interval '1 minute' ELSE c.at END, c.at
FROM seed_changes c JOIN baselines b ON b.environment_id = (SELECT id FROM seed_environment)
ORDER BY c.n
""",
    """
UPDATE environments e
SET last_n = c.n, last_content = s.content, last_reported_at = c.at, last_changed_at = c.at, drift_status = d.status,
    drifted_since = d.drifted_since
FROM seed_changes c
JOIN snapshots s USING (n)
JOIN drift_reports d USING (environment_id, n)
WHERE c.n = (SELECT max(n) FROM seed_changes) AND s.environment_id = e.id AND e.id = (SELECT id FROM seed_environment)
""",
)


async def fill_environment(url: str, environment_id: UUID, snapshots: int) -> None:
    """Add snapshots up to this number to an environment whose first one is its baseline, a minute of the future each.

    The planner's statistics stay as they were before.
    """
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(SEEDED_ID)
            await connection.execute(_ENVIRONMENT, environment_id)
            await connection.execute(_ARTIFACTS, environment_id)
            await connection.execute(_CHANGES, snapshots)
            for statement in _STATEMENTS:
                await connection.execute(statement)
    finally:
        await connection.close()
    await forget_changes(url)
