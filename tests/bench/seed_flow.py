"""A flow that has had many builds: trails as webhooks make them, each with one attestation, made inside PostgreSQL.

Their audit events are left out: those of a flow that grew over years lie in partitions of earlier months.
"""

import asyncpg

from tests.bench.seed import SEEDED_ID, Place

_PLACE = "CREATE TEMP TABLE seed_place AS SELECT $1::uuid AS org_id, $2::uuid AS flow_id, $3::uuid AS principal_id"
_BUILDS = """
CREATE TEMP TABLE seed_builds AS
SELECT n, at, commit, pg_temp.seeded(1, n, at) AS trail_id, pg_temp.seeded(2, n, at) AS event_id,
       pg_temp.seeded(3, n, at) AS attestation_id, pg_temp.seeded(4, n, at) AS delivery_id
FROM (
  SELECT n, now() - ($1::bigint - n) * interval '1 minute' AS at,
         left(encode(sha256(('earlier commit ' || n)::bytea), 'hex'), 40) AS commit
  FROM generate_series(0, $1::bigint - 1) AS n
) AS numbered
"""
_STATEMENTS = (
    """
INSERT INTO trails (id, org_id, flow_id, flow_version, correlation_key, git_commit_sha, git_branch, git_author,
                    git_author_email, git_repository, build_url, status, status_at, version, created_at)
SELECT trail_id, org_id, flow_id, 1, commit, commit, 'main', 'Ada Byron', 'ada@northwind.example',
       'northwind-labs/parcel-tracker', 'https://github.com/northwind-labs/parcel-tracker/actions/runs/' || n,
       'COMPLIANT', at, 1, at
FROM seed_builds, seed_place
""",
    """
INSERT INTO edges (org_id, to_kind, to_key, from_kind, from_id, relation, event_id)
SELECT org_id, 'commit', 'northwind-labs/parcel-tracker@' || commit, 'trail', trail_id, 'built', event_id
FROM seed_builds, seed_place
""",
    """
INSERT INTO attestations (id, org_id, trail_id, type, name, identity, origin, source_id, details, evidence_url,
                          claimed_by, reported_by, observed_at, created_at)
SELECT attestation_id, org_id, trail_id, 'BUILD', 'build', 'build', 'webhook', delivery_id, 'workflow build: success',
       'https://github.com/northwind-labs/parcel-tracker/actions/runs/' || n, 'ada-byron', principal_id, at, at
FROM seed_builds, seed_place
""",
    """
INSERT INTO attestation_results (attestation_id, n, org_id, status, id, created_at)
SELECT attestation_id, 1, org_id, 'PASSED', attestation_id, at FROM seed_builds, seed_place
""",
    """
INSERT INTO latest_results (org_id, trail_id, slot, digest, identity, name, type, attestation_id, result_n, status,
                            observed_at, superseded)
SELECT org_id, trail_id, '', '', 'build', 'build', 'BUILD', attestation_id, 1, 'PASSED', at, false
FROM seed_builds, seed_place
""",
    """
INSERT INTO counters (org_id, kind, parent_id, n)
SELECT org_id, 'attestations', trail_id, 1 FROM seed_builds, seed_place
UNION ALL SELECT org_id, 'trails', flow_id, count(*) FROM seed_builds, seed_place GROUP BY org_id, flow_id
ON CONFLICT (org_id, kind, parent_id) DO UPDATE SET n = counters.n + excluded.n
""",
)


async def fill_flow(url: str, place: Place, trails: int) -> None:
    """Give the flow so many trails in one transaction; the planner's statistics stay as they were before."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(SEEDED_ID)
            await connection.execute(_PLACE, place.org_id, place.flow_id, place.principal_id)
            await connection.execute(_BUILDS, trails)
            for statement in _STATEMENTS:
                await connection.execute(statement)
    finally:
        await connection.close()
    await forget_changes(url)


async def forget_changes(url: str) -> None:
    """Give autovacuum no reason to analyze.

    From a connection of its own: the one that wrote adds up what it changed only as it ends.
    """
    connection = await asyncpg.connect(url)
    await connection.execute("SELECT pg_stat_reset()")
    await connection.close()
