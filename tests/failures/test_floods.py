"""An API process under strangers who send too much: it keeps its memory, its files and its other clients."""

import asyncio
import gzip
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from cli.embedded.children import Child
from tests.conftest import ADMIN_KEY, Installation
from tests.journeys.client import Client, Config, open_client
from tests.journeys.processes import lines, served_address
from tests.journeys.senders import Sender, build, commit_of
from tests.journeys.waiting import eventually
from tests.paths import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

MIB = 2**20
FILES = 200
CONNECTIONS = 56
"""What 200 files leave: 16 are for the database, 128 for all else."""
PATIENCE = 3
BUDGET = 32 * MIB
FALSE = {"X-Hub-Signature-256": "sha256=" + "0" * 64}


@pytest.fixture
def api(own_installation: Installation, tmp_path: Path) -> Iterator[Child]:
    """An API process that may open few files and waits for clients for a short time."""
    environment = own_installation.environment(
        tmp_path / "data",
        TRAILGATE_PORT="0",
        TRAILGATE_CLIENT_TIMEOUT=str(PATIENCE),
        TRAILGATE_CONNECTIONS_PER_ADDRESS="0",
        TRAILGATE_UNPROVEN_BYTES=str(BUDGET),
    )
    command = ["sh", "-c", f"ulimit -n {FILES}; exec {sys.executable} -m api"]
    child = Child("api", command, environment, cwd=ROOT, log=tmp_path / "api.log")
    child.start()
    yield child
    child.stop()


@pytest.fixture
def address(api: Child, tmp_path: Path) -> str:
    return served_address(tmp_path / "api.log")


@pytest.fixture
async def client(address: str) -> AsyncIterator[Client]:
    async with open_client(address, ADMIN_KEY) as opened:
        yield opened


def peak(api: Child) -> int:
    """The most memory that the process has held so far, in bytes."""
    status = Path(f"/proc/{api.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


@asynccontextmanager
async def connection(address: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    url = urlsplit(address)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def status_of(reader: asyncio.StreamReader) -> int:
    """0 if the connection ended without an answer, as it does for a client that goes on sending."""
    try:
        return int((await asyncio.wait_for(reader.readline(), 20)).split(b" ", 2)[1])
    except (ConnectionError, IndexError):
        return 0


async def send(address: str, path: str, body: bytes, **headers: str) -> int:
    """The status for one request on a connection of its own, whose body is sent whether it is wanted or not."""
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    async with connection(address) as (reader, writer):
        answer = asyncio.create_task(status_of(reader))
        writer.write("\r\n".join([*lines, "", ""]).encode())
        with suppress(ConnectionError):
            for start in range(0, len(body), MIB):
                writer.write(body[start : start + MIB])
                await writer.drain()
        return await answer


async def flood(address: str, path: str, body: bytes, number: int, **headers: str) -> set[int]:
    """The statuses for so many at once."""
    return set(await asyncio.gather(*(send(address, path, body, **headers) for _ in range(number))))


async def still_takes(client: Client, config: Config) -> bool:
    receipt = await Sender(client.session, config.path).attempt(build(config.secret, str(uuid4()), commit_of(uuid4())))
    return receipt is not None


async def test_compressed_bodies_of_strangers_stay_compressed(api: Child, address: str, client: Client) -> None:
    """120 such bodies became three gigabytes."""
    config, before = await client.config(), peak(api)
    body = gzip.compress(bytes(25 * MIB))
    assert len(body) < 30_000
    for path in (config.path, "/api/v1/webhooks/github", f"/api/v1/webhooks/github/{uuid4()}"):
        for _ in range(3):
            statuses = await flood(address, path, body, 40, **FALSE, **{"Content-Encoding": "gzip"})
            assert statuses == {401}
    assert peak(api) - before < 50 * MIB
    assert await still_takes(client, config)


async def test_large_bodies_of_strangers_are_not_held(api: Child, address: str, client: Client) -> None:
    """Sixty of them became one and a half gigabytes: those without a config are not read, others have a budget."""
    config, before = await client.config(), peak(api)
    body = bytes(25 * MIB)
    assert await flood(address, f"/api/v1/webhooks/github/{uuid4()}", body, 40, **FALSE) <= {401, 0}
    assert await flood(address, config.path, body, 40) <= {401, 0}
    assert peak(api) - before < 50 * MIB
    assert await flood(address, config.path, body, 40, **FALSE) <= {401, 503, 0}
    assert peak(api) - before < 50 * MIB + 3 * BUDGET
    assert await still_takes(client, config)


async def test_at_the_limit_of_files_everybody_is_told(
    api: Child, address: str, client: Client, tmp_path: Path
) -> None:
    """Who has a connection is served, the database included; who wants one more is told to come back."""
    config = await client.config()
    async with connection(address) as (first, to_first):
        await client.session.close()
        waiting = [connection(address) for _ in range(CONNECTIONS - 1)]
        for one in waiting:
            await one.__aenter__()
        async with connection(address) as (reader, _):
            answer = await asyncio.wait_for(reader.read(), 5)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: " in head
        assert json.loads(body)["status"] == 503
        to_first.write(b"GET /health/ready HTTP/1.1\r\nHost: x\r\nX-Api-Key: %s\r\n\r\n" % ADMIN_KEY.encode())
        assert await status_of(first) == 200
        for one in waiting:
            await one.__aexit__(None, None, None)
    refused = lines(tmp_path / "api.log", "connection refused")
    assert {line["reason"] for line in refused} == {"total"}
    async with open_client(address, ADMIN_KEY) as again:

        async def taken() -> bool:
            return await still_takes(again, config)

        await eventually(taken, 10, "a delivery after the flood")


async def test_slow_connections_make_place_for_others(api: Child, address: str, client: Client) -> None:
    config = await client.config()
    await client.session.close()
    async with open_client(address, ADMIN_KEY) as other:
        slow = [connection(address) for _ in range(FILES)]
        for one in slow:
            _, writer = await one.__aenter__()
            writer.write(b"POST " + config.path.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-")

        async def taken() -> bool:
            with suppress(OSError):
                return await still_takes(other, config)
            return False

        await eventually(taken, PATIENCE + 10, "a delivery beside slow connections")
        for one in slow:
            await one.__aexit__(None, None, None)
