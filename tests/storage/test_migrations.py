"""What becomes of rows that an earlier version wrote."""

import asyncio
from collections.abc import Iterator
from uuid import UUID

import asyncpg
import pytest
from alembic import command
from sqlalchemy import Connection

from cli.embedded.testing import clone_database, drop_database
from domain.identity.quotas import DEFAULTS
from storage import migrations
from storage.authenticator import Authenticator
from storage.clock import SystemClock
from storage.database import open_database
from storage.ids import Ids
from storage.inbox.queries import load
from storage.migrations import migrate
from tests.conftest import Worker

ORG, FLOW, TRAIL, OTHER = (UUID(int=n) for n in range(1, 5))
NAMED, UNNAMED, BLANK, REPORTED = (UUID(int=n) for n in range(11, 15))
FIRST, SECOND, AGAIN = (UUID(int=n) for n in range(21, 24))

BEFORE_IDENTITIES = f"""
INSERT INTO trails (id, org_id, flow_id, flow_version, git_commit_sha, git_branch, git_author, git_author_email, status,
                    status_at, version, created_at)
SELECT id, '{ORG}', '{FLOW}', 1, 'c', 'main', 'ada', 'a@b', 'COMPLIANT', now(), 1, now()
FROM (VALUES ('{TRAIL}'::uuid), ('{OTHER}'::uuid)) AS t(id);
INSERT INTO attestations (id, org_id, trail_id, type, name, origin, reported_by, observed_at, created_at)
SELECT id, '{ORG}', trail_id, type, name, 'api', '{ORG}', now(), now() FROM (VALUES
  ('{NAMED}'::uuid, '{TRAIL}'::uuid, 'junit', 'unit'), ('{UNNAMED}', '{TRAIL}', 'junit', NULL),
  ('{BLANK}', '{OTHER}', 'snyk', ''), ('{REPORTED}', '{OTHER}', 'junit', NULL)
) AS a(id, trail_id, type, name);
INSERT INTO evidence (id, org_id, attestation_id, trail_id, digest, name, size, media_type, uploaded_by, created_at)
SELECT id, '{ORG}', '{NAMED}', '{TRAIL}', 'd', name, 1, 'text/xml', '{ORG}', now()
FROM (VALUES ('{FIRST}'::uuid, 'A.xml'), ('{SECOND}', 'B.xml'), ('{AGAIN}', 'B.xml')) AS e(id, name);
INSERT INTO attestation_results (attestation_id, n, org_id, status, id, evidence_id, created_at)
SELECT id, n, '{ORG}', status, gen_random_uuid(), file, now() FROM (VALUES
  ('{NAMED}'::uuid, 1, 'PENDING', NULL::uuid), ('{NAMED}', 2, 'FAILED', '{FIRST}'),
  ('{NAMED}', 3, 'FAILED', '{SECOND}'), ('{NAMED}', 4, 'PASSED', '{AGAIN}'),
  ('{UNNAMED}', 1, 'PASSED', NULL), ('{BLANK}', 1, 'PASSED', NULL), ('{REPORTED}', 1, 'PASSED', NULL)
) AS r(id, n, status, file);
INSERT INTO latest_results (org_id, trail_id, slot, digest, key, type, attestation_id, result_n, status, observed_at)
SELECT '{ORG}', trail_id, '', '', key, type, id, n, 'PASSED', now() FROM (VALUES
  ('{NAMED}'::uuid, '{TRAIL}'::uuid, 'unit', 'junit', 4), ('{UNNAMED}', '{TRAIL}', 'type:junit', 'junit', 1),
  ('{BLANK}', '{OTHER}', 'type:snyk', 'snyk', 1), ('{REPORTED}', '{OTHER}', 'type:junit', 'junit', 1)
) AS l(id, trail_id, key, type, n);
"""


@pytest.fixture
def empty(worker: Worker, worker_id: str) -> Iterator[str]:
    """A database without a table."""
    admin_url, name = worker.addresses.admin_url, f"old_{worker_id}"
    yield asyncio.run(clone_database(admin_url, "template0", name))
    asyncio.run(drop_database(admin_url, name))


async def migrated_to(url: str, revision: str, rows: str) -> None:
    """A database as that version left it."""

    def upgrade(connection: Connection) -> list[str]:
        command.upgrade(migrations._config(connection), revision)
        return []

    await migrations._with_connection(url, upgrade)
    connection = await asyncpg.connect(url)
    await connection.execute(f"SET session_replication_role = replica; {rows}")
    await connection.close()


async def test_results_get_identities_and_the_worst_file_decides(empty: str) -> None:
    await migrated_to(empty, "0006", BEFORE_IDENTITIES)
    assert "0008" in await migrate(empty)
    connection = await asyncpg.connect(empty)
    identities = {row["id"]: row["identity"] for row in await connection.fetch("SELECT * FROM attestations")}
    latest = await connection.fetch(
        "SELECT attestation_id, identity, name, run, result_n, status FROM latest_results ORDER BY attestation_id"
    )
    judged = await connection.fetch("SELECT attestation_id, org_id, result_n FROM judgements")
    statuses = {row["id"]: row["status"] for row in await connection.fetch("SELECT * FROM trails")}
    with pytest.raises(asyncpg.RestrictViolationError):
        await connection.execute("UPDATE attestations SET identity = 'x'")
    await connection.close()
    assert identities == {NAMED: "unit", UNNAMED: "type:junit", BLANK: "type:snyk", REPORTED: "type:junit"}
    assert [tuple(row) for row in latest] == [
        (NAMED, "unit", "unit", None, 2, "FAILED"),
        (UNNAMED, "type:junit", None, None, 1, "PASSED"),
        (BLANK, "type:snyk", None, None, 1, "PASSED"),
        (REPORTED, "type:junit", None, None, 1, "PASSED"),
    ]
    assert [tuple(row) for row in judged] == [(NAMED, ORG, 2)]
    assert statuses == {TRAIL: "NON_COMPLIANT", OTHER: "COMPLIANT"}


CONFIG, DONE, WAITING, DEAD = (UUID(int=n) for n in range(31, 35))
BEFORE_CODES = f"""
INSERT INTO deliveries (id, org_id, config_id, source, delivery_id, identity, event, body_id, body_sha256, status,
                        duplicates, received_at)
SELECT id, '{ORG}', '{CONFIG}', 'GITHUB', id::text, id::text, 'push', id, sha256('{{}}'), status, 0, now()
FROM (VALUES ('{DONE}'::uuid, 'SUCCESS'), ('{WAITING}', 'PENDING'), ('{DEAD}', 'FAILED')) AS d(id, status);
INSERT INTO inbox_bodies (id, headers, body)
SELECT id, '{{"b": "1", "a": "2"}}', '{{}}' FROM deliveries;
INSERT INTO inbox (delivery_id, org_id, due_at, attempts) VALUES ('{WAITING}', '{ORG}', now(), 0);
"""


async def test_deliveries_that_wait_are_adopted_by_the_upgrade_that_brings_codes(empty: str) -> None:
    authenticator = Authenticator(lambda: [bytes(32)])
    await migrated_to(empty, "0009", BEFORE_CODES)
    assert "0010" in await migrate(empty, authenticator)
    async with (
        open_database(
            empty, size=1, clock=SystemClock(), ids=Ids(), name="t", authenticator=authenticator, quotas=DEFAULTS
        ) as database,
        database.read() as reader,
    ):
        loaded = await load(reader, authenticator, [DONE, WAITING, DEAD])
    assert {delivery.id for delivery in loaded if delivery.authentic} == {WAITING, DEAD}


PERSON, ACCOUNT, SENDER = (UUID(int=n) for n in range(41, 44))
BEFORE_PEOPLE = f"""
INSERT INTO organisations (id, slug, name, description, type, settings, version, created_at, updated_at)
VALUES ('{ORG}', 'acme', 'Acme', '', 'SHARED', '{{}}', 1, now(), now());
INSERT INTO principals (id, kind, username, version, created_at) VALUES
  ('{PERSON}', 'user', 'admin', 1, now()), ('{ACCOUNT}', 'service', 'acme/ci', 1, now()),
  ('{SENDER}', 'service', 'webhook-github-1', 1, now());
INSERT INTO memberships (id, org_id, principal_id, role, version, created_at)
SELECT gen_random_uuid(), '{ORG}', id, 'reporter', 1, now() FROM principals;
"""


async def test_principals_get_names_and_the_organisation_that_manages_them(empty: str) -> None:
    await migrated_to(empty, "0010", BEFORE_PEOPLE)
    assert "0011" in await migrate(empty)
    connection = await asyncpg.connect(empty)
    rows = await connection.fetch(
        "SELECT p.id, p.org_id, p.name, m.kind FROM principals p JOIN memberships m ON m.principal_id = p.id ORDER BY 1"
    )
    await connection.close()
    assert [tuple(row) for row in rows] == [
        (PERSON, ORG, "admin", "user"),
        (ACCOUNT, ORG, "ci", "service"),
        (SENDER, ORG, None, "service"),
    ]
