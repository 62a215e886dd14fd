"""A database as large as one that is years old: a million attestations, all of it in the shapes the product writes.

`make bench-seed`, or `python -m tests.bench.seed [--trails N] [--data-dir DIR]`. Rows are made inside PostgreSQL: this
is for measuring how times grow, not for trusting what is in it. Leaves are random, everything else adds up.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg

from cli.embedded.servers import EmbeddedServers, ServerOptions
from domain.audit.events import Actor
from domain.facts.flows import NewFlow
from domain.identity.permissions import DEFAULT_ORGANISATION
from domain.tenant import Tenant
from storage.authenticator import Authenticator, Purpose, event_data
from storage.clock import SystemClock
from storage.database import Transaction, open_database
from storage.facts.commands.flows import create_flow
from storage.identity.bootstrap import bootstrap
from storage.ids import Ids
from storage.keys import load_master_keys, load_signer, load_trusted_keys
from storage.ledger.commands import seal, sign_checkpoint
from storage.ledger.heads import Known
from storage.ledger.marks import Mark
from storage.migrations import migrate
from storage.services import open_services
from storage.settings import Settings, default_data_dir

TRAILS = 100_000
PER_TRAIL = 10
"""Attestations on each trail: BUILD, TEST, and named suites."""
CHUNK = 5_000
_SEAL_BATCH = 5_000
DATA_DIR = default_data_dir().with_name("trailgate-bench")
"""Beside the default one, not in the working directory: servers that root starts may not enter root's home."""

Progress = Callable[[str, int, int], None]

SEEDED_ID = """
CREATE FUNCTION pg_temp.seeded(kind int, number bigint, at timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(kind), 3, '0') || '8'
          || lpad(to_hex(number), 15, '0'))::uuid
$$
"""
"""A function of the connection: version 7 like our own, ordered by time, distinct by kind and number."""

_PLACE = """
CREATE TEMP TABLE seed_place AS
SELECT $1::uuid AS org_id, $2::uuid AS flow_id, $3::uuid AS principal_id, $4::int AS per_trail
"""
_ROWS = """
CREATE TEMP TABLE seed_trails ON COMMIT DROP AS
SELECT t AS number, now() - ($2::bigint - t) * interval '10 milliseconds' AS at,
       'sha256:' || encode(sha256(('artifact ' || t)::bytea), 'hex') AS digest,
       encode(sha256(('commit ' || t)::bytea), 'hex') AS commit
FROM generate_series($1::bigint, least($1::bigint + $3::bigint, $2::bigint) - 1) AS t
"""
_STATEMENTS = (
    """
INSERT INTO trails (id, org_id, flow_id, flow_version, git_commit_sha, git_branch, git_author, git_author_email, status,
                    status_at, version, created_at)
SELECT pg_temp.seeded(1, number, at), org_id, flow_id, 1, left(commit, 40), 'main', 'Ada Lovelace', 'ada@example.com',
       'COMPLIANT', at, 1, at FROM seed_trails, seed_place
""",
    """
INSERT INTO artifacts (id, org_id, digest, created_at)
SELECT pg_temp.seeded(2, number, at), org_id, digest, at FROM seed_trails, seed_place
""",
    """
INSERT INTO artifact_reports (id, org_id, artifact_id, flow_id, trail_id, digest, name, tag, reported_by, observed_at,
                              created_at)
SELECT pg_temp.seeded(3, number, at), org_id, pg_temp.seeded(2, number, at), flow_id, pg_temp.seeded(1, number, at),
       digest, 'app', number::text, principal_id, at, at FROM seed_trails, seed_place
""",
    """
CREATE TEMP TABLE seed_attestations ON COMMIT DROP AS
SELECT pg_temp.seeded(4, number * per_trail + n, at) AS id, pg_temp.seeded(5, number * per_trail + n, at) AS event_id,
       pg_temp.seeded(1, number, at) AS trail_id, at, CASE n WHEN 0 THEN 'BUILD' ELSE 'TEST' END AS type,
       CASE WHEN n > 1 THEN 'suite ' || n END AS name
FROM seed_trails CROSS JOIN seed_place CROSS JOIN LATERAL generate_series(0, per_trail - 1) AS n
""",
    """
INSERT INTO attestations (id, org_id, trail_id, type, name, identity, origin, details, reported_by, observed_at,
                          created_at)
SELECT id, org_id, trail_id, type, name, coalesce(name, 'type:' || type), 'api', '412 tests, 0 failures', principal_id,
       at, at
FROM seed_attestations, seed_place
""",
    """
INSERT INTO attestation_results (attestation_id, n, org_id, status, id, created_at)
SELECT id, 1, org_id, 'PASSED', id, at FROM seed_attestations, seed_place
""",
    """
INSERT INTO latest_results (org_id, trail_id, slot, digest, identity, name, type, attestation_id, result_n, status,
                            observed_at, superseded)
SELECT org_id, trail_id, '', '', coalesce(name, 'type:' || type), name, type, id, 1, 'PASSED', at, false
FROM seed_attestations, seed_place
""",
    """
WITH events AS (
  SELECT pg_temp.seeded(6, number, at) AS id, 'trail.created' AS name, 'trail' AS kind,
         pg_temp.seeded(1, number, at) AS record_id, pg_temp.seeded(1, number, at) AS trail_id, NULL AS digest, at
  FROM seed_trails
  UNION ALL
  SELECT pg_temp.seeded(7, number, at), 'artifact.reported', 'artifact_report', pg_temp.seeded(3, number, at),
         pg_temp.seeded(1, number, at), digest, at FROM seed_trails
  UNION ALL
  SELECT event_id, 'attestation.recorded', 'attestation', id, trail_id, NULL, at FROM seed_attestations
), written AS (
  INSERT INTO audit_events (id, org_id, name, actor_id, record_kind, record_id, record_version, trail_id, digest,
                            payload, format, nonce, leaf, occurred_at, region)
  SELECT id, org_id, name, principal_id, kind, record_id, 1, trail_id, digest, jsonb_build_object('trailId', trail_id),
         2, decode(md5(id::text), 'hex'), sha256(id::text::bytea), at, 'us-east-1' FROM events, seed_place
  RETURNING org_id, id, leaf
)
INSERT INTO unsealed (org_id, event_id, leaf, mac) SELECT org_id, id, leaf, '' FROM written
""",
    """
INSERT INTO counters (org_id, kind, parent_id, n)
SELECT org_id, kind, parent_id, n FROM seed_place CROSS JOIN LATERAL (
  SELECT 'attestations' AS kind, trail_id AS parent_id, count(*) AS n FROM seed_attestations GROUP BY trail_id
  UNION ALL SELECT 'artifacts', pg_temp.seeded(1, number, at), 1 FROM seed_trails
  UNION ALL SELECT 'trails', flow_id, count(*) FROM seed_trails
  UNION ALL SELECT 'audit', '00000000-0000-0000-0000-000000000000', count(*) * (per_trail + 2) FROM seed_trails
) AS counted
ON CONFLICT (org_id, kind, parent_id) DO UPDATE SET n = counters.n + excluded.n
""",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the rows go."""

    org_id: UUID
    flow_id: UUID
    principal_id: UUID


async def seed(settings: Settings, place: Place, trails: int, progress: Progress) -> None:
    """Fill a migrated database that has the flow, seal all of it, sign it, and let the planner look at it."""
    url = str(settings.database_url)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(SEEDED_ID)
        await connection.execute(_PLACE, place.org_id, place.flow_id, place.principal_id, PER_TRAIL)
        for first in range(0, trails, CHUNK):
            async with connection.transaction():
                await _fill(connection, first, trails)
            progress("trails", min(first + CHUNK, trails), trails)
    finally:
        await connection.close()
    await _seal(settings, place, progress)
    connection = await asyncpg.connect(url)
    await connection.execute("ANALYZE")
    await connection.close()


async def _fill(connection: asyncpg.Connection, first: int, trails: int) -> None:
    await connection.execute("SET LOCAL synchronous_commit = off")
    await connection.execute(_ROWS, first, trails, CHUNK)
    for statement in _STATEMENTS:
        await connection.execute(statement)


async def _seal(settings: Settings, place: Place, progress: Progress) -> None:
    """By the sealer itself, so that chain and tree are as they would be."""
    known = Known(Mark(), None, load_trusted_keys(settings))
    authenticator = Authenticator(lambda: load_master_keys(settings))
    async with open_database(
        str(settings.database_url), size=2, clock=SystemClock(), ids=Ids(), name="seed", authenticator=authenticator
    ) as database:
        async with database.read() as reader:
            waiting = await reader.value("SELECT count(*) FROM unsealed WHERE org_id = $1", place.org_id)
        left = waiting
        while left:
            async with database.transaction() as tx:
                await _authenticate(tx, place.org_id)
                await seal(tx, place.org_id, _SEAL_BATCH, known.mark)
                left = await tx.value("SELECT count(*) FROM unsealed WHERE org_id = $1", place.org_id)
            progress("events sealed", waiting - left, waiting)
        async with database.transaction() as tx:
            await sign_checkpoint(tx, place.org_id, load_signer(settings), known)


_UNAUTHENTICATED = "SELECT event_id, leaf FROM unsealed WHERE org_id = $1 ORDER BY event_id LIMIT $2"
_AUTHENTICATE = """
UPDATE unsealed u SET mac = m.mac FROM unnest($2::uuid[], $3::bytea[]) AS m(event_id, mac)
WHERE u.org_id = $1 AND u.event_id = m.event_id
"""


async def _authenticate(tx: Transaction, org_id: UUID) -> None:
    """Give the next events, which were written by SQL, the codes that the sealer checks."""
    rows = await tx.rows(_UNAUTHENTICATED, org_id, _SEAL_BATCH)
    macs = [tx.authenticator.mac(Purpose.EVENT, event_data(org_id, row["event_id"], row["leaf"])) for row in rows]
    await tx.execute(_AUTHENTICATE, org_id, [row["event_id"] for row in rows], macs)


def shown(what: str, done: int, total: int) -> None:
    """One line that moves on."""
    end = "\n" if done >= total else ""
    sys.stderr.write(f"\rseed: {done:,} of {total:,} {what}{end}")


def main(words: Sequence[str] | None = None) -> int:
    """Seed a data directory of its own; `trailgate up --data-dir DIR` shows it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.seed", description=__doc__)
    parser.add_argument("--trails", type=int, default=TRAILS, help=f"each with {PER_TRAIL} attestations")
    parser.add_argument("--data-dir", type=Path, default=DATA_DIR, help="made if it is not there; default: %(default)s")
    asked = parser.parse_args(words)
    with EmbeddedServers(asked.data_dir, ServerOptions(durable=True)) as servers:
        settings = Settings(database_url=servers.database_url, redis_url=servers.redis_url, data_dir=asked.data_dir)
        asyncio.run(_seed_installation(settings, asked.trails))
    sys.stderr.write(f"seed: done; `.venv/bin/trailgate up --data-dir {asked.data_dir}` shows it\n")
    return 0


async def _seed_installation(settings: Settings, trails: int) -> None:
    url = str(settings.database_url)
    await migrate(url)
    async with open_services(settings, "bench seed") as services:
        found = await bootstrap(services.database, None, services.signer, services.envelope)
        new = NewFlow(f"bench {services.clock.now():%Y-%m-%d %H:%M:%S}", required_types=["BUILD", "TEST"])
        async with services.database.transaction() as tx:
            tenant = Tenant(found.org_id, DEFAULT_ORGANISATION)
            flow = await create_flow(tx, tenant, new, Actor(found.admin_id))
        await seed(settings, Place(found.org_id, flow.id, found.admin_id), trails, shown)


if __name__ == "__main__":
    sys.exit(main())
