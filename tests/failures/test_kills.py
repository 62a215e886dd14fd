"""Servers killed under a running API and worker: refusals while they are away, nothing lost, nothing twice."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import aiohttp
import pytest
from redis.asyncio import Redis

from storage.services import Services, open_services
from tests.failures.backlog import assert_all_kept
from tests.failures.processes import Deployment, open_deployment
from tests.journeys.client import Client, open_client
from tests.journeys.processes import ADMIN_KEY, lines, settings_of
from tests.journeys.senders import Sender, build, commit_of
from tests.journeys.waiting import eventually


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with open_deployment(tmp_path_factory.mktemp("deployment")) as deployment:
        yield deployment


@pytest.fixture
async def client(deployment: Deployment) -> AsyncIterator[Client]:
    async with open_client(deployment.address, ADMIN_KEY) as client:
        yield client


@pytest.fixture
async def inside(deployment: Deployment) -> AsyncIterator[Services]:
    async with open_services(settings_of(deployment.environment), "test") as services:
        yield services


async def test_without_redis_deliveries_are_accepted_and_drained_when_it_is_back(
    deployment: Deployment, client: Client, inside: Services
) -> None:
    config = await client.config()
    sender = Sender(client.session, config.path)
    commits = {str(uuid4()): commit_of("dark", n) for n in range(20)}
    deployment.valkey.send(signal.SIGKILL)
    await eventually(lambda: redis_down(client), 5, "the news that Redis is away")
    for delivery_id, commit in commits.items():
        began = time.monotonic()
        assert await sender.attempt(build(config.secret, delivery_id, commit)) is not None
        assert time.monotonic() - began < 5, "nobody waits for Redis"
    assert sender.answers == {202: 20}
    trail = await client.post("/trails", trail_body(config.flow_id, commit_of("by hand")))
    await client.post(f"/trails/{trail['id']}/attestations", {"type": "TEST", "status": "PASSED"})
    async with deployment.processes.kept():
        await assert_all_kept(inside, sender, commits, 20)


def trail_body(flow_id: str, commit: str) -> dict[str, str]:
    return {
        "flowId": flow_id,
        "gitCommitSha": commit,
        "gitBranch": "main",
        "gitAuthor": "Ada",
        "gitAuthorEmail": "ada@example.com",
    }


async def redis_down(client: Client) -> bool:
    async with client.session.get("/health/ready") as response:
        assert response.status == 200, "Redis away alone makes nobody unready"
        components = (await response.json())["components"]
    return bool(components == {"database": "UP", "writing": "UP", "redis": "DOWN"})


@pytest.mark.parametrize(
    "how",
    [signal.SIGKILL, signal.SIGINT, pytest.param(signal.SIGQUIT, marks=pytest.mark.slow)],
    ids=lambda how: how.name,
)
async def test_postgres_restarted_under_load_costs_refusals_and_never_a_500(
    deployment: Deployment, client: Client, inside: Services, how: signal.Signals
) -> None:
    config = await client.config()
    async with aiohttp.ClientSession(deployment.address) as session, deployment.processes.kept():
        sender = Sender(session, config.path, random.Random(how.value))
        readers = Sender(session, config.path)
        commits: dict[str, str] = {}
        stop = asyncio.Event()

        async def load(lane: int) -> None:
            while not stop.is_set():
                delivery_id, commit = str(uuid4()), commit_of(how.name, lane, len(commits))
                commits[delivery_id] = commit
                await sender.deliver(build(config.secret, delivery_id, commit))

        loads = [asyncio.create_task(load(lane)) for lane in range(8)]
        asking = asyncio.create_task(read_along(client, config.flow_id, readers, stop))
        await eventually(lambda: answered(sender, 50), 15, "a load")
        deployment.postgres.send(how)
        await eventually(lambda: refused(sender), 10, "refusals")
        before = sender.answers[202]
        await eventually(lambda: answered(sender, before + 50), 20, "the load going on")
        stop.set()
        await asyncio.gather(*loads, asking)
        assert set(sender.answers) <= {202, 503, "lost"}, sender.answers
        assert set(readers.answers) <= {200, 503, "lost"}, readers.answers
        assert lines(deployment.folder / "api.log", "request failed") == []
        await assert_all_kept(inside, sender, commits, 45)


async def answered(sender: Sender, times: int) -> bool:
    return sender.answers[202] >= times


async def refused(sender: Sender) -> bool:
    return sender.answers[503] + sender.answers["lost"] > 0


async def read_along(client: Client, flow_id: str, tally: Sender, stop: asyncio.Event) -> None:
    """Somebody who looks at lists meanwhile."""
    paths = ("/api/v1/flows", f"/api/v1/trails?flowId={flow_id}&size=5", "/api/v1/ledger/status", "/health/ready")
    while not stop.is_set():
        for path in paths:
            try:
                async with client.session.get(path) as response:
                    tally.answers[response.status] += 1
            except (aiohttp.ClientError, OSError):
                tally.answers["lost"] += 1
            await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_a_killed_api_answers_again_and_its_promises_hold(
    deployment: Deployment, client: Client, inside: Services
) -> None:
    config = await client.config()
    async with aiohttp.ClientSession(deployment.address) as session, deployment.processes.kept():
        sender = Sender(session, config.path)
        commits = {str(uuid4()): commit_of("api", n) for n in range(200)}
        deliveries = iter([build(config.secret, delivery_id, commit) for delivery_id, commit in commits.items()])

        async def load() -> None:
            for delivery in deliveries:
                await sender.deliver(delivery)

        loads = [asyncio.create_task(load()) for _ in range(8)]
        await eventually(lambda: answered(sender, 50), 15, "a load")
        deployment.api.send(signal.SIGKILL)
        await asyncio.gather(*loads)
        assert sender.answers["lost"] > 0
        await assert_all_kept(inside, sender, commits, 20)


@pytest.mark.slow
async def test_redis_can_be_wiped_and_killed_in_turn_without_anybody_noticing(
    deployment: Deployment, client: Client, inside: Services
) -> None:
    config = await client.config()
    sender = Sender(client.session, config.path)
    commits = {str(uuid4()): commit_of("turns", n) for n in range(60)}
    async with deployment.processes.kept():
        for number, (delivery_id, commit) in enumerate(commits.items()):
            if number % 20 == 10:
                deployment.valkey.send(signal.SIGKILL)
            if number % 20 == 0:
                async with Redis.from_url(deployment.servers.redis_url) as redis:
                    await redis.flushall()
            await sender.deliver(build(config.secret, delivery_id, commit))
            await asyncio.sleep(0.02)
        assert sender.answers == {202: 60}
        await assert_all_kept(inside, sender, commits, 20)
