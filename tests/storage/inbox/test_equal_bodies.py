"""One body of a sender that signs nothing else is one delivery, whatever ids it comes with."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from domain.facts.webhook_configs import WebhookConfig
from storage.facts.queries.reconciliations import missing_deliveries
from storage.inbox.commands import Arrival, Done, claim, finish
from storage.inbox.queries import DeliveryRow, backlog, get_delivery
from storage.services import Services
from tests.storage.world import World


@pytest.fixture
async def world(own_services: Services) -> World:
    return await World.founded(own_services)


@pytest.fixture
async def config(world: World) -> WebhookConfig:
    return await world.config(await world.flow())


def arrival(world: World, config: WebhookConfig, delivery_id: str, body: bytes = b"{}") -> Arrival:
    return replace(world.arrival(config, delivery_id, body=body), once_per_body=True)


async def shown(world: World, receipt_id: object) -> DeliveryRow:
    async with world.services.database.read() as reader:
        return await get_delivery(reader, world.tenant, receipt_id)  # type: ignore[arg-type]  # a receipt's id


async def waiting(world: World) -> int:
    async with world.services.database.read() as reader:
        return (await backlog(reader)).waiting


async def test_the_same_body_under_another_id_is_a_copy(world: World, config: WebhookConfig) -> None:
    [first] = await world.deliver(arrival(world, config, "d1"))
    [copy] = await world.deliver(arrival(world, config, "d2"))
    assert (first.fresh, copy.fresh, copy.id) == (True, False, first.id)
    kept = await shown(world, first.id)
    assert (kept.delivery_id, kept.duplicates) == ("d1", 1)
    assert await waiting(world) == 1


async def test_copies_within_one_batch_are_one_delivery(world: World, config: WebhookConfig) -> None:
    bodies = [b"a", b"b", b"a", b"c", b"a"]
    receipts = await world.deliver(*(arrival(world, config, f"d{n}", body) for n, body in enumerate(bodies)))
    assert [receipt.fresh for receipt in receipts] == [True, True, False, True, False]
    assert receipts[0].id == receipts[2].id == receipts[4].id
    assert (await shown(world, receipts[0].id)).duplicates == 2


async def test_of_parallel_copies_one_is_kept(world: World, config: WebhookConfig) -> None:
    async def deliver(n: int) -> bool:
        """In the opposite order every other time: nobody may wait for the others in a circle."""
        pair = [arrival(world, config, f"{body!r}-{n}", body) for body in (b"a", b"b")]
        return any(receipt.fresh for receipt in await world.deliver(*(pair if n % 2 else pair[::-1])))

    await asyncio.gather(*(deliver(n) for n in range(16)))
    assert await waiting(world) == 2


async def test_a_dead_letter_is_queued_again_by_its_body(world: World, config: WebhookConfig) -> None:
    database = world.services.database
    [first] = await world.deliver(arrival(world, config, "d1"))
    claim_id = world.services.ids.new()
    async with database.transaction() as tx:
        await claim(tx, claim_id, 10, timedelta(minutes=1))
        await finish(tx, claim_id, [Done(first.id, None, "unreadable", failed=True)])
    [again] = await world.deliver(arrival(world, config, "d2"))
    assert (again.id, (await shown(world, first.id)).status) == (first.id, "PENDING")
    assert await waiting(world) == 1


async def test_another_config_knows_nothing_of_it(world: World, config: WebhookConfig) -> None:
    other = await world.config(await world.flow())
    receipts = await world.deliver(arrival(world, config, "d1"), arrival(world, other, "d1"))
    assert [receipt.fresh for receipt in receipts] == [True, True]


async def test_where_the_id_counts_equal_bodies_are_two_deliveries(world: World, config: WebhookConfig) -> None:
    twice = [replace(arrival(world, config, name), once_per_body=False) for name in ("d1", "d2")]
    assert [receipt.fresh for receipt in await world.deliver(*twice)] == [True, True]
    assert await waiting(world) == 2


async def test_a_reconciliation_finds_deliveries_by_their_ids(world: World, config: WebhookConfig) -> None:
    await world.deliver(arrival(world, config, "by its body"))
    await world.deliver(replace(arrival(world, config, "by its id"), once_per_body=False))
    ids = ["by its body", "by its id", "never arrived"]
    async with world.services.database.read() as reader:
        missing = await missing_deliveries(reader, world.tenant.org_id, config.id, ids, world.services.clock.now())
    assert missing == {"never arrived"}
