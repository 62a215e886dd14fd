"""SIGTERM under load: what was accepted stays, and nobody is kept waiting."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from cli.embedded.children import Child
from storage.services import Services, open_services
from tests.conftest import Installation
from tests.journeys.client import Client, Config, open_client
from tests.journeys.processes import (
    ADMIN_KEY,
    application,
    environment_of,
    lines,
    served_address,
    settings_of,
    stopped,
)
from tests.journeys.senders import Sender, build, commit_of
from tests.journeys.waiting import eventually

PATIENCE = 10
"""Seconds that a stop may take (issue 2, part 5)."""


@dataclass(frozen=True)
class Pair:
    """An API and a worker of the test's own. The worker is not started."""

    api: Child
    worker: Child
    address: str
    environment: dict[str, str]
    logs: Path


@pytest.fixture
def pair(own_installation: Installation, tmp_path: Path) -> Iterator[Pair]:
    environment = environment_of(own_installation.database_url, own_installation.redis_url, tmp_path / "data")
    api = application("api", environment, tmp_path / "api.log")
    worker = application("workers", environment, tmp_path / "workers.log")
    api.start()
    try:
        yield Pair(api, worker, served_address(tmp_path / "api.log"), environment, tmp_path)
    finally:
        api.stop()
        worker.stop()


@pytest.fixture
async def inside(pair: Pair) -> AsyncIterator[Services]:
    async with open_services(settings_of(pair.environment), "test") as services:
        yield services


@pytest.fixture
async def client(pair: Pair) -> AsyncIterator[Client]:
    async with open_client(pair.address, ADMIN_KEY) as client:
        yield client


async def test_an_api_that_is_told_to_stop_under_load_keeps_every_promise(
    pair: Pair, client: Client, inside: Services
) -> None:
    config = await client.config()
    async with aiohttp.ClientSession(pair.address) as session:
        sender = Sender(session, config.path)
        posting = [asyncio.create_task(post_until_lost(sender, config)) for _ in range(16)]

        async def busy() -> bool:
            return sender.answers[202] > 200

        await eventually(busy, 20, "a load on the API")
        begun = await begun_wait(client, next(iter(sender.receipts.values())))
        status, seconds = await stopped(pair.api, PATIENCE)
        await asyncio.wait_for(asyncio.gather(*posting), PATIENCE)
    assert (await begun)["status"] == "PENDING", "a request that was being answered is answered"
    assert status == 0
    assert seconds < PATIENCE
    assert set(sender.answers) <= {202, 503, "lost"}, sender.answers
    assert lines(pair.logs / "api.log", "request failed") == []
    promised = {UUID(receipt) for receipts in sender.receipts.values() for receipt in receipts}
    async with inside.database.read() as reader:
        kept = {row["id"] for row in await reader.rows("SELECT id FROM deliveries")}
        queued = {row["delivery_id"] for row in await reader.rows("SELECT delivery_id FROM inbox")}
    assert promised <= kept == queued
    assert len(promised) == sender.answers[202]


async def begun_wait(client: Client, receipts: set[str]) -> asyncio.Task[Any]:
    """A request that takes two seconds to answer, and has reached the API."""
    [receipt] = receipts
    waiting = asyncio.create_task(client.get(f"/receipts/{receipt}", wait=2))
    for _ in range(3):  # whole round trips on other connections: the first request was sent before them
        await client.get(f"/receipts/{receipt}")
    return waiting


async def post_until_lost(sender: Sender, config: Config) -> None:
    while not sender.answers["lost"]:
        await sender.attempt(build(config.secret, str(uuid4()), commit_of(uuid4())))


async def test_a_worker_that_is_told_to_stop_amid_a_backlog_loses_and_repeats_nothing(
    pair: Pair, client: Client, inside: Services
) -> None:
    config = await client.config()
    sender = Sender(client.session, config.path)
    total = 800
    deliveries = [build(config.secret, str(uuid4()), commit_of(n)) for n in range(total)]
    for at in range(0, total, 50):
        await asyncio.gather(*(sender.deliver(delivery) for delivery in deliveries[at : at + 50]))

    async def done() -> int:
        async with inside.database.read() as reader:
            count: int = await reader.value("SELECT count(*) FROM deliveries WHERE status = 'SUCCESS'")
        return count

    pair.worker.start()
    await eventually(done, 20, "the beginning of the drain")
    status, seconds = await stopped(pair.worker, PATIENCE)
    assert status == 0
    assert seconds < PATIENCE
    pair.worker.start()
    await sender.deliver(build(config.secret, str(uuid4()), commit_of("the last")))
    total += 1

    async def all_done() -> bool:
        return await done() == total

    await eventually(all_done, 30, "the rest of the backlog")
    status, seconds = await stopped(pair.worker, PATIENCE)
    assert status == 0
    assert seconds < PATIENCE / 2, "nobody waits for a worker that has nothing to do"
    async with inside.database.read() as reader:
        assert await reader.value("SELECT count(*) FROM inbox") == 0
        assert await reader.value("SELECT count(*) FROM trails") == total
        assert await reader.value("SELECT count(*) FROM attestations") == total
        assert await reader.value("SELECT count(DISTINCT source_id) FROM attestations") == total
