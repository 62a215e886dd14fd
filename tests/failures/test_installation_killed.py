"""`trailgate up` and all it started are killed at once, amid their work: the next start does it without delay."""

import asyncio
import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import aiohttp
import asyncpg
import psutil
import pytest
from aiohttp import web

from cli.embedded.servers import EmbeddedServers
from tests.cli.embedded.conftest import make_folder
from tests.cli.test_up import Running
from tests.failures.test_leases import locked
from tests.journeys.client import Client, Config, open_client
from tests.journeys.processes import ADMIN_KEY, free_port
from tests.journeys.senders import Sender, build, commit_of
from tests.journeys.waiting import eventually
from tests.workers.receiver import Receiver, receiving

pytestmark = pytest.mark.slow

READY = "Ctrl-C stops everything."


class Installation:
    """An installation with embedded servers, whose leases last longer than any test."""

    def __init__(self, home: Path) -> None:
        self._data, self._home, self._port = home / "data", home, free_port()
        self.address = f"http://127.0.0.1:{self._port}"
        self.database_url = EmbeddedServers(self._data).database_url

    def start(self) -> None:
        words = ["up", "--port", str(self._port), "--data-dir", str(self._data)]
        told = {
            "TRAILGATE_ADMIN_KEY": ADMIN_KEY,
            "TRAILGATE_OUTBOUND_ALLOW": "127.0.0.0/8",
            "TRAILGATE_DRAIN_LEASE": "3600",
        }
        self._up = Running(words, self._home / f"{uuid4()}.out", **told)
        self._up.wait_for(READY)

    def kill(self) -> None:
        """Everybody at once, as when the machine runs out of memory."""
        parent = psutil.Process(self._up.process.pid)
        for one in (parent, *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # it has ended with its parent
                one.kill()
        self._up.process.wait(30)

    def stop(self) -> None:
        if self._up.process.poll() is None:
            self._up.stop(signal.SIGTERM)


@pytest.fixture
def installation() -> Iterator[Installation]:
    home = make_folder()
    installation = Installation(home)
    installation.start()
    yield installation
    installation.stop()
    shutil.rmtree(home)


async def deliver(config: Config, address: str, number: int) -> list[str]:
    async with aiohttp.ClientSession(address) as session:
        sender = Sender(session, config.path)
        builds = (build(config.secret, str(uuid4()), commit_of("killed", n)) for n in range(number))
        return [await sender.deliver(one) for one in builds]


async def leased(installation: Installation) -> bool:
    connection = await asyncpg.connect(installation.database_url)
    try:
        return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM inbox WHERE claim_id IS NOT NULL)"))
    finally:
        await connection.close()


async def failed_on_a_trail(client: Client, receiver: Receiver) -> None:
    rule = {
        "name": "tell me",
        "triggerEvent": "ATTESTATION_FAILED",
        "channelType": "WEBHOOK",
        "channelConfig": {"webhookUrl": receiver.url},
    }
    await client.post("/notification-rules", rule)
    trail = {
        "flowId": await client.flow(),
        "gitCommitSha": "a" * 40,
        "gitBranch": "main",
        "gitAuthor": "Ada",
        "gitAuthorEmail": "ada@example.com",
    }
    made = await client.post("/trails", trail)
    await client.post(f"/trails/{made['id']}/attestations", {"type": "TEST", "name": "units", "status": "FAILED"})


async def test_what_a_killed_installation_was_doing_does_not_wait_for_its_leases(installation: Installation) -> None:
    hanging = asyncio.Event()

    async def hang(_receiver: Receiver, _request: web.Request) -> web.StreamResponse:
        hanging.set()
        await asyncio.sleep(60)
        return web.Response()

    async with receiving(hang) as receiver, open_client(installation.address, ADMIN_KEY) as client:
        config = await client.config()
        await failed_on_a_trail(client, receiver)
        await asyncio.wait_for(hanging.wait(), 30)
        with suppress(asyncpg.PostgresConnectionError):
            async with locked(installation.database_url, "attestations"):
                receipts = await deliver(config, installation.address, 20)
                await eventually(lambda: leased(installation), 10, "a claim of the drain")
                installation.kill()
        receiver.behave = None
        installation.start()
        for receipt in receipts:
            assert (await client.receipt(receipt))["status"] == "SUCCESS"

        async def told() -> bool:
            return len(receiver.taken) == 1

        await eventually(told, 10, "the message")
