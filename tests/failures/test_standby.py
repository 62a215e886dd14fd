"""A pool that was led to a standby, as in a fail-over: its changes are refused, and it does not stay there."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.embedded.servers import EmbeddedServers, ServerOptions
from domain.errors import Unavailable
from storage.authenticator import Authenticator
from storage.clock import SystemClock
from storage.database import Database, open_database
from storage.ids import Ids
from tests.cli.embedded.conftest import make_folder

QUICK = ServerOptions(durable=False)


@pytest.fixture
def standby() -> Iterator[EmbeddedServers]:
    """A server that waits for what a primary sends."""
    home = make_folder()
    with EmbeddedServers(home / "data", QUICK):
        pass
    cluster: Path = home / "data" / "postgres"
    (cluster / "standby.signal").touch()
    with EmbeddedServers(home / "data", QUICK) as servers:
        yield servers
    shutil.rmtree(home)


async def backend(database: Database) -> int:
    async with database.read() as reader:
        return int(await reader.value("SELECT pg_backend_pid()"))


async def change(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE changed ()")


def test_a_refused_change_closes_the_connection_to_the_standby(standby: EmbeddedServers) -> None:
    async def fail_over() -> None:
        nobody = Authenticator(tuple)  # no events are written
        async with open_database(
            standby.database_url, size=1, clock=SystemClock(), ids=Ids(), name="t", authenticator=nobody
        ) as database:
            before = await backend(database)
            assert await backend(database) == before, "reading keeps it"
            with pytest.raises(Unavailable, match="accepts no changes"):
                await change(database)
            assert await backend(database) != before
            async with database.read() as reader:
                assert await reader.value("SELECT pg_promote()")
            await change(database)

    asyncio.run(fail_over())
