"""Messages on their way out while workers, Postgres and receivers die: each arrives, none twice without need."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import web

from storage.services import Services, open_services
from tests.failures.processes import Deployment, open_deployment
from tests.journeys.client import Client, open_client
from tests.journeys.processes import ADMIN_KEY, settings_of
from tests.journeys.waiting import eventually
from tests.workers.receiver import Receiver, receiving


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with open_deployment(tmp_path_factory.mktemp("deployment"), TRAILGATE_OUTBOUND_ALLOW="127.0.0.0/8") as deployment:
        yield deployment


@pytest.fixture
async def client(deployment: Deployment) -> AsyncIterator[Client]:
    async with open_client(deployment.address, ADMIN_KEY) as client:
        yield client


@pytest.fixture
async def inside(deployment: Deployment) -> AsyncIterator[Services]:
    async with open_services(settings_of(deployment.environment), "test") as services:
        yield services


async def listened(client: Client, receiver: Receiver, flow_id: str) -> None:
    body = {
        "name": "tell me",
        "triggerEvent": "ATTESTATION_FAILED",
        "channelType": "WEBHOOK",
        "channelConfig": {"webhookUrl": receiver.url},
        "filterFlowId": flow_id,
    }
    receiver.secret = (await client.post("/notification-rules", body))["signingSecret"]


async def trail_of(client: Client, flow_id: str) -> str:
    body = {
        "flowId": flow_id,
        "gitCommitSha": "a" * 40,
        "gitBranch": "main",
        "gitAuthor": "Ada",
        "gitAuthorEmail": "ada@example.com",
    }
    trail: str = (await client.post("/trails", body))["id"]
    return trail


async def fail(client: Client, trail: str, number: int) -> None:
    for n in range(number):
        body = {"type": "TEST", "name": f"t{n:03}", "status": "FAILED"}
        await client.post(f"/trails/{trail}/attestations", body)


def names(receiver: Receiver, trail: str) -> list[str]:
    return [body["data"]["attestation"] for body in receiver.bodies if body["data"]["trailId"] == trail]


async def test_a_worker_killed_before_it_could_keep_the_answer_sends_that_one_again_under_its_id(
    deployment: Deployment, client: Client, inside: Services
) -> None:
    """The receiver took it, nobody noted it: the one case in which it comes twice, and can be told by its id."""
    deaths = iter([True])

    async def kill_first(_receiver: Receiver, _request: web.Request) -> web.StreamResponse:
        if next(deaths, False):
            deployment.worker.send(signal.SIGKILL)
        return web.Response()

    flow = await client.flow()
    async with receiving(kill_first) as receiver:
        await listened(client, receiver, flow)
        trail = await trail_of(client, flow)
        await fail(client, trail, 5)
        await eventually(lambda: dead(deployment), 10, "the worker's death")
        first = receiver.taken[0]
        async with deployment.processes.kept():
            await end_leases(inside)
            await eventually(lambda: arrived(receiver, trail, 6), 20, "everything")
            await eventually(lambda: empty(inside), 10, "the outbox to be empty")
        assert receiver.copies[first] == 2
        assert [count for message, count in receiver.copies.items() if message != first] == [1] * 4
        assert names(receiver, trail) == ["t000", "t000", "t001", "t002", "t003", "t004"]


async def dead(deployment: Deployment) -> bool:
    return not deployment.worker.alive


async def end_leases(inside: Services) -> None:
    """The time of the leases that the dead worker held is over."""
    async with inside.database.transaction() as tx:
        await tx.execute("UPDATE outbox SET due_at = $1 WHERE claim_id IS NOT NULL", tx.now)


async def arrived(receiver: Receiver, trail: str, number: int) -> bool:
    return len(names(receiver, trail)) >= number


async def empty(inside: Services) -> bool:
    async with inside.database.read() as reader:
        return await reader.value("SELECT NOT EXISTS (SELECT FROM outbox)") is True


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda how: how.name)
async def test_postgres_restarted_while_messages_leave_makes_none_come_twice(
    deployment: Deployment, client: Client, inside: Services, how: signal.Signals
) -> None:
    """What the receiver took while Postgres was away is remembered by the worker until it is back."""
    gate = asyncio.Event()

    async def think(_receiver: Receiver, _request: web.Request) -> web.StreamResponse:
        await gate.wait()
        await asyncio.sleep(0.02)
        return web.Response()

    flow = await client.flow()
    async with receiving(think) as receiver:
        await listened(client, receiver, flow)
        trails = [await trail_of(client, flow) for _ in range(8)]
        for trail in trails:
            await fail(client, trail, 5)
        await eventually(lambda: asked(receiver, 8), 10, "a request for each trail")
        deployment.postgres.send(how)
        gate.set()
        async with deployment.processes.kept():
            await eventually(lambda: taken(receiver, 40), 20, "all of them")
            await eventually(lambda: empty(inside), 20, "the outbox to be empty")
        assert set(receiver.copies.values()) == {1}
        for trail in trails:
            assert names(receiver, trail) == [f"t{n:03}" for n in range(5)]


async def asked(receiver: Receiver, number: int) -> bool:
    return len(receiver.asked) >= number


async def taken(receiver: Receiver, number: int) -> bool:
    return len(receiver.taken) >= number


async def test_a_receiver_that_was_away_for_a_while_gets_everything_once_it_is_back(
    deployment: Deployment, client: Client, inside: Services
) -> None:
    flow = await client.flow()
    async with receiving() as receiver:
        await listened(client, receiver, flow)
    trail = await trail_of(client, flow)
    await fail(client, trail, 20)
    await eventually(lambda: tried(inside), 10, "a first attempt")
    deployment.worker.send(signal.SIGKILL)
    async with deployment.processes.kept(), receiving(port=receiver.port) as back:
        back.secret = receiver.secret
        await end_waiting(inside)
        await eventually(lambda: arrived(back, trail, 20), 20, "everything")
        assert set(back.copies.values()) == {1}
        assert names(back, trail) == [f"t{n:03}" for n in range(20)]


async def tried(inside: Services) -> bool:
    async with inside.database.read() as reader:
        found: Any = await reader.value("SELECT max(attempts) FROM messages WHERE status = 'PENDING'")
    return bool(found)


async def end_waiting(inside: Services) -> None:
    async with inside.database.transaction() as tx:
        await tx.execute("UPDATE outbox SET due_at = $1", tx.now)
        await tx.execute("UPDATE destinations SET paused_until = NULL")
