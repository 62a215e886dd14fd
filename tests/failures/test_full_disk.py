"""`trailgate up` on a disk that fills up: whatever was stored can be read, and when there is space again it goes on."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from cli.embedded.servers import EmbeddedServers
from tests.cli.embedded.conftest import make_folder
from tests.cli.test_up import Running
from tests.disks import mounted
from tests.journeys.client import Client, open_client
from tests.journeys.processes import ADMIN_KEY, free_port
from tests.journeys.waiting import eventually

pytestmark = pytest.mark.slow

READY = "Ctrl-C stops everything."


@pytest.fixture
def disk() -> Iterator[Path]:
    folder = make_folder()
    with mounted(folder, "400m"):
        yield folder
    shutil.rmtree(folder)


@asynccontextmanager
async def running(disk: Path, output: Path) -> AsyncIterator[Client]:
    port = free_port()
    words = ["up", "--port", str(port), "--data-dir", str(disk / "data")]
    up = Running(words, output, TRAILGATE_ADMIN_KEY=ADMIN_KEY, TRAILGATE_DISK_RESERVE=str(32 * 2**20))
    try:
        up.wait_for(READY)
        async with open_client(f"http://127.0.0.1:{port}", ADMIN_KEY) as client:
            yield client
    finally:
        up.stop()


def fill(path: Path) -> None:
    """To the last byte."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(2**16)):
                pass
        except OSError:
            return


async def readiness(client: Client) -> Any:
    async with client.session.get("/health/ready") as response:
        assert response.status == 200
        return (await response.json())["components"]


async def writing(client: Client, state: str) -> bool:
    return bool((await readiness(client))["writing"] == state)


async def refused(client: Client) -> bool:
    async with client.session.post("/api/v1/flows", json={"name": f"flow {uuid4()}"}) as response:
        assert response.status in (201, 503), await response.text()
        return response.status == 503 and int(response.headers["Retry-After"]) > 0


async def connects(database_url: str) -> None:
    """As every new connection of the pool does."""
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT count(*) FROM flows") >= 1
    await connection.close()


async def test_reads_go_on_while_the_disk_is_full_and_writes_when_it_has_space_again(
    disk: Path, tmp_path: Path
) -> None:
    database_url = EmbeddedServers(disk / "data").database_url
    async with running(disk, tmp_path / "out") as client:
        flow = await client.flow()
        fill(disk / "filler")
        await eventually(lambda: writing(client, "DOWN"), 10, "the read-only database")
        for _ in range(20):
            assert await refused(client)
        assert (await client.get(f"/flows/{flow}"))["id"] == flow
        await asyncio.gather(*(connects(database_url) for _ in range(5)))
        (disk / "filler").unlink()
        await eventually(lambda: writing(client, "UP"), 90, "a database that accepts changes")
        await client.flow()


async def test_a_start_without_space_says_how_much_it_needs(disk: Path, tmp_path: Path) -> None:
    async with running(disk, tmp_path / "out"):
        pass
    with (disk / "filler").open("wb") as filler:
        filler.write(bytes(shutil.disk_usage(disk).free - 20 * 2**20))
    (disk / "data" / "reserve").unlink()
    up = Running(["up", "--port", "0", "--data-dir", str(disk / "data")], tmp_path / "refused")
    assert up.process.wait(60) == 2
    assert "TRAILGATE_DISK_RESERVE" in up.shown
    assert "Traceback" not in up.shown


async def test_a_start_after_a_full_disk_accepts_changes(disk: Path, tmp_path: Path) -> None:
    async with running(disk, tmp_path / "full") as client:
        fill(disk / "filler")
        await eventually(lambda: writing(client, "DOWN"), 10, "the read-only database")
    (disk / "filler").unlink()
    async with running(disk, tmp_path / "again") as client:
        await client.flow()
        assert (await readiness(client))["writing"] == "UP"
