"""The receiver while Postgres is slow and clients are rude: no promise is broken, none made that cannot be kept."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import aiohttp
import asyncpg
import pytest
from aiohttp.test_utils import TestServer

from api.app import build_app
from storage.services import Services, open_services
from tests.conftest import ADMIN_KEY, Installation
from tests.failures.backlog import count
from tests.journeys.client import Client, Config, open_client
from tests.journeys.senders import Delivery, Sender, build, commit_of, hex_hmac
from tests.journeys.waiting import eventually

CAPACITY = 4
_BLOCKED = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%INSERT INTO deliveries%'
"""


@pytest.fixture
async def tight(own_installation: Installation, tmp_path: Path) -> AsyncIterator[Services]:
    """Services of an API in which four deliveries may wait."""
    settings = own_installation.settings(tmp_path, inbox_capacity=CAPACITY)
    async with open_services(settings, "test") as opened:
        yield opened


@pytest.fixture
async def server(tight: Services) -> AsyncIterator[TestServer]:
    server = TestServer(build_app(tight))
    async with server:
        yield server


@pytest.fixture
async def client(server: TestServer) -> AsyncIterator[Client]:
    async with open_client(str(server.make_url("")), ADMIN_KEY) as client:
        yield client


@pytest.fixture
async def config(client: Client) -> Config:
    return await client.config()


@asynccontextmanager
async def stuck_inbox(installation: Installation) -> AsyncIterator[None]:
    """No delivery can be written until the block ends."""
    connection = await asyncpg.connect(installation.database_url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE deliveries IN EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


def fresh(config: Config) -> Delivery:
    return build(config.secret, str(uuid4()), commit_of(uuid4()))


async def test_a_full_queue_says_so_at_once_and_keeps_what_it_took(
    own_installation: Installation, tight: Services, client: Client, config: Config
) -> None:
    refused: list[tuple[str, str | None]] = []
    accepted: list[str] = []

    async def post(delivery: Delivery) -> None:
        async with client.session.post(config.path, data=delivery.body, headers=delivery.headers) as response:
            body = await response.json()
            if response.status == 202:
                accepted.append(body["receiptId"])
            else:
                assert (response.status, body["error"]) == (503, "Service Unavailable")
                refused.append((delivery.id, response.headers.get("Retry-After")))

    async with stuck_inbox(own_installation):
        posting = [asyncio.create_task(post(fresh(config))) for _ in range(60)]

        async def turned_away() -> bool:
            return bool(refused) and await count(tight, _BLOCKED) > 0

        await eventually(turned_away, 10, "refusals while the writers wait")
        assert not accepted, "202 means committed"
        assert {retry for _, retry in refused} == {"1"}
    await asyncio.gather(*posting)
    assert len(accepted) + len(refused) == 60
    assert len(accepted) >= CAPACITY
    assert await count(tight, "SELECT count(*) FROM deliveries") == len(set(accepted)) == len(accepted)
    lost = [delivery_id for delivery_id, _ in refused]
    assert await count(tight, "SELECT count(*) FROM deliveries WHERE delivery_id = ANY($1)", lost) == 0
    assert (await Sender(client.session, config.path).attempt(fresh(config))) is not None, "it takes deliveries again"


async def test_deliveries_heavier_than_the_queue_are_refused_and_lighter_ones_taken(
    own_installation: Installation, tmp_path: Path
) -> None:
    settings = own_installation.settings(tmp_path, inbox_capacity_bytes=2**20)
    async with (
        open_services(settings, "test") as services,
        TestServer(build_app(services)) as server,
        open_client(str(server.make_url("")), ADMIN_KEY) as client,
    ):
        config = await client.config("GENERIC")
        for size, status in ((2**20 + 1, 503), (2**19, 202)):
            body = json.dumps({"eventType": "coffee.brewed", "note": "x" * size}).encode()
            headers = {"X-Webhook-Signature": hex_hmac(config.secret, body)}
            async with client.session.post(config.path, data=BytesIO(body), headers=headers) as response:
                assert response.status == status


async def test_a_client_that_leaves_while_its_delivery_is_written_finds_it_kept_once(
    own_installation: Installation, tight: Services, client: Client, config: Config
) -> None:
    delivery = fresh(config)
    async with stuck_inbox(own_installation):
        leaving = asyncio.create_task(impatient(client, config, delivery))
        await eventually(lambda: count(tight, _BLOCKED), 10, "a delivery that is being written")
        leaving.cancel()
        await asyncio.wait([leaving])
        assert leaving.cancelled()

    async def kept() -> bool:
        return await count(tight, "SELECT count(*) FROM deliveries") == 1

    await eventually(kept, 10, "the delivery whose sender had left")
    sender = Sender(client.session, config.path)
    receipt = await sender.deliver(delivery)
    async with tight.database.read() as reader:
        [row] = await reader.rows("SELECT id::text, duplicates FROM deliveries")
        assert (row["id"], row["duplicates"]) == (receipt, 1)
        assert await reader.value("SELECT count(*) FROM inbox") == 1


async def impatient(client: Client, config: Config, delivery: Delivery) -> None:
    """On a connection of its own, which is cut when the task is cancelled."""
    async with (
        aiohttp.ClientSession(client.session._base_url) as session,
        session.post(config.path, data=delivery.body, headers=delivery.headers),
    ):
        raise AssertionError("it was answered before it was written")


async def test_a_body_that_breaks_off_is_no_delivery(
    server: TestServer, tight: Services, client: Client, config: Config
) -> None:
    delivery = fresh(config)
    head = [f"POST {config.path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(delivery.body)}"]
    head += [f"{name}: {value}" for name, value in delivery.headers.items()]
    _, writer = await asyncio.open_connection(server.host, server.port)
    writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + delivery.body[:2000])
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    receipt = await Sender(client.session, config.path).deliver(delivery)
    async with tight.database.read() as reader:
        [row] = await reader.rows("SELECT id::text, duplicates FROM deliveries")
    assert (row["id"], row["duplicates"]) == (receipt, 0)


async def test_copies_that_race_each_other_are_one_delivery(tight: Services, client: Client, config: Config) -> None:
    delivery, sender = fresh(config), Sender(client.session, config.path)
    receipts = await asyncio.gather(*(sender.deliver(delivery) for _ in range(40)))
    assert len(set(receipts)) == 1
    assert await count(tight, "SELECT count(*) FROM deliveries") == 1
    assert await count(tight, "SELECT sum(duplicates) FROM deliveries") == 39
    assert await count(tight, "SELECT count(*) FROM inbox") == 1
    assert await count(tight, "SELECT count(*) FROM inbox_bodies") == 1


async def test_a_config_deleted_a_moment_ago_lets_nothing_in_although_it_is_remembered(
    tight: Services, client: Client, config: Config
) -> None:
    await Sender(client.session, config.path).deliver(fresh(config))
    await client.ask("DELETE", f"/webhook-configs/{config.id}", expect=204)
    late = fresh(config)
    async with client.session.post(config.path, data=late.body, headers=late.headers) as response:
        assert response.status == 401
    assert await count(tight, "SELECT count(*) FROM deliveries") == 1
