"""Databases that tests use one after the other: each begins as the template, whatever the one before did."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from tests.conftest import Worker
from tests.databases import Databases


@pytest.fixture
def databases(worker: Worker, worker_id: str) -> Iterator[Databases]:
    pool = Databases(worker.addresses.admin_url, f"pool_{worker_id}")
    yield pool
    pool.close()


def run(url: str, *statements: str) -> int:
    """Execute them; how many rows the schedule has then."""

    async def execute() -> int:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
            return int(await connection.fetchval("SELECT count(*) FROM schedule"))
        finally:
            await connection.close()

    return asyncio.run(execute())


KEPT = "INSERT INTO schedule (name, next_run_at) VALUES ('a', now())"


def test_a_database_is_given_to_the_next_one_without_its_rows(databases: Databases) -> None:
    first = databases.take()
    assert run(first, KEPT) == 1
    databases.give_back(first)
    assert databases.take() == first
    assert run(first) == 0


def test_two_at_a_time_have_each_their_own(databases: Databases) -> None:
    first, second = databases.take(), databases.take()
    assert run(first, KEPT) == 1
    assert run(second) == 0


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE more (n int)",
        "CREATE TABLE more (n int) PARTITION BY LIST (n); CREATE TABLE one PARTITION OF more FOR VALUES IN (1)",
        "ALTER TABLE organisations ADD COLUMN more text",
        "ALTER TABLE organisations ALTER COLUMN name DROP NOT NULL",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "CREATE INDEX more ON organisations (name)",
        "CREATE FUNCTION more() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE SEQUENCE more",
        "UPDATE alembic_version SET version_num = '0000'",
    ],
)
def test_what_is_not_as_the_template_is_dropped(databases: Databases, change: str) -> None:
    changed = databases.take()
    run(changed, change)
    databases.give_back(changed)
    assert databases.take() != changed
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        run(changed)


async def one_left_open(databases: Databases, url: str) -> None:
    """A connection amid its transaction, while the database is given back."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"BEGIN; {KEPT}")
        await asyncio.to_thread(databases.give_back, url)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await connection.execute("COMMIT")
    finally:
        connection.terminate()


def test_whoever_is_still_connected_is_thrown_out(databases: Databases) -> None:
    url = databases.take()
    asyncio.run(one_left_open(databases, url))
    assert databases.take() == url
    assert run(url) == 0
