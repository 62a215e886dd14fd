"""The servers the whole test suite stands on: throw-away, and databases cloned from a sealed template."""

from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from cli.embedded.testing import ThrowawayServers, clone_database, drop_database, seal_template, start_for_tests


@pytest.fixture(scope="module")
def servers() -> Iterator[ThrowawayServers]:
    servers = start_for_tests({"max_connections": 50})
    yield servers
    servers.stop()


async def value(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_they_are_fast_but_commits_are_real(servers: ThrowawayServers) -> None:
    shown = [await value(servers.database_url, f"SHOW {name}") for name in ("fsync", "synchronous_commit")]
    assert shown == ["off", "on"]
    assert await value(servers.database_url, "SHOW max_connections") == "50"


async def test_a_clone_is_a_separate_copy_of_the_sealed_template(servers: ThrowawayServers) -> None:
    template = await clone_database(servers.admin_url, "trailgate", "migrated")
    await value(template, "CREATE TABLE kept AS SELECT 7 AS n")
    await seal_template(servers.admin_url, "migrated")
    with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
        await value(template, "SELECT 1")
    first = await clone_database(servers.admin_url, "migrated", "w_gw0")
    second = await clone_database(servers.admin_url, "migrated", 'odd "name"')
    assert first == servers.admin_url.replace("/postgres?", "/w_gw0?")
    await value(first, "DELETE FROM kept")
    assert await value(first, "SELECT count(*) FROM kept") == 0
    assert await value(second, "SELECT n FROM kept") == 7
    with pytest.raises(asyncpg.DuplicateDatabaseError):
        await clone_database(servers.admin_url, "migrated", "w_gw0")


async def test_dropping_throws_out_whoever_is_connected_and_may_be_repeated(servers: ThrowawayServers) -> None:
    url = await clone_database(servers.admin_url, "template1", "doomed")
    connection = await asyncpg.connect(url)
    await drop_database(servers.admin_url, "doomed")
    await drop_database(servers.admin_url, "doomed")
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError)):
        await connection.fetchval("SELECT 1")
    connection.terminate()
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await value(url, "SELECT 1")


def test_stopping_removes_the_directory(in_directory) -> None:
    servers = start_for_tests()
    folder = servers._data_dir
    assert folder.samefile(servers._layout.root)
    servers.stop()
    servers.stop()
    assert not folder.exists()
    assert in_directory(folder) == []


def test_a_failed_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(home))
    monkeypatch.setenv("TRAILGATE_POSTGRES_BIN", str(home))
    with pytest.raises(Exception, match="no program postgres"):
        start_for_tests()
    assert list(home.iterdir()) == []
