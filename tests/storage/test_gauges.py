"""The numbers that alerts go by, over a database of the test's own."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from domain.notifications.rules import Channel
from domain.retries import ErrorClass
from storage import gauges
from storage.gauges import Gauges, read_gauges
from storage.outbox.health import DestinationHealth, destinations_in_use
from storage.services import Services
from tests.storage.outbox.letters import destination, post, settled, take
from tests.storage.world import World

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def world(own_services: Services) -> World:
    return await World.founded(own_services)


async def seen(services: Services, after: timedelta = timedelta()) -> Gauges:
    async with services.database.read() as reader:
        return await read_gauges(reader, services.clock.now() + after)


async def fares(services: Services, limit: int = 100) -> list[DestinationHealth]:
    async with services.database.read() as reader:
        return await destinations_in_use(reader, limit)


async def ruled(world: World) -> UUID:
    """The destination of a rule."""
    return (await world.rule()).rule.destination_id


async def fail(world: World, destination_id: UUID, failure: ErrorClass = ErrorClass.TRANSIENT, **how: Any) -> None:
    await post(world, destination_id, "subject")
    await settled(world.services, await take(world.services), failure, wait=MINUTE, **how)


async def test_an_empty_installation_waits_for_nothing(own_services: Services) -> None:
    now = await seen(own_services)
    assert (now.inbox, now.dead, now.outbox, now.dead_messages, now.unsealed) == (0, 0, 0, 0, 0)
    assert (now.inbox_lag, now.outbox_lag, now.seal_lag) == (timedelta(), timedelta(), timedelta())
    assert now.destinations == {"failing": 0, "paused": 0, "disabled": 0}


async def test_the_outbox_is_as_late_as_its_oldest_message(world: World) -> None:
    first, second = await destination(world, "a"), await destination(world, "b")
    await post(world, first, "x", "y")
    await post(world, second, "x")
    now = await seen(world.services, MINUTE)
    assert now.outbox == 3
    assert MINUTE <= now.outbox_lag < 2 * MINUTE
    await settled(world.services, await take(world.services))
    assert (await seen(world.services, MINUTE)).outbox_lag == timedelta()


@pytest.mark.parametrize("failure", [ErrorClass.TRANSIENT, ErrorClass.THROTTLED])
async def test_what_waits_for_a_destination_in_trouble_does_not_make_the_relay_late(
    world: World, failure: ErrorClass
) -> None:
    bad, good = await destination(world, "bad"), await destination(world, "good")
    await fail(world, bad, failure)
    await post(world, bad, "another")
    late = await seen(world.services, 10 * MINUTE)
    assert (late.outbox, late.outbox_lag) == (2, timedelta())
    await post(world, good, "x")
    assert (await seen(world.services, 10 * MINUTE)).outbox_lag >= 10 * MINUTE


async def test_dead_messages_are_counted(world: World) -> None:
    await post(world, await destination(world), "x", "y")
    await settled(world.services, await take(world.services), ErrorClass.PERMANENT)
    now = await seen(world.services)
    assert (now.outbox, now.dead_messages) == (0, 2)


async def test_counting_ends_at_a_limit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await post(world, await destination(world), *"abcde")
    monkeypatch.setattr(gauges, "_OUTBOX", gauges._OUTBOX.replace(str(gauges.COUNT_LIMIT), "3"))
    assert (await seen(world.services)).outbox == 3


async def test_destinations_are_counted_by_their_trouble(world: World) -> None:
    await ruled(world)
    await fail(world, await ruled(world))
    await fail(world, await ruled(world), ErrorClass.THROTTLED)
    await post(world, gone := await ruled(world), "x")
    await settled(world.services, await take(world.services), ErrorClass.PERMANENT, gone=True)
    now = await seen(world.services)
    assert now.destinations == {"failing": 2, "paused": 1, "disabled": 1}
    assert (await seen(world.services, 60 * MINUTE)).destinations["paused"] == 0
    in_order = await fares(world.services)
    assert [bool(one.disabled_at) for one in in_order] == [True, False, False, False]
    assert [bool(one.failing_since) for one in in_order] == [True, True, True, False]
    assert (in_order[0].id, in_order[0].org_slug) == (gone, world.tenant.org_slug)
    assert [one.id for one in await fares(world.services, 1)] == [gone]


@pytest.mark.parametrize("end", ["archived_at = now()", "is_active = false"])
async def test_a_destination_that_no_active_rule_names_troubles_nobody(world: World, end: str) -> None:
    issued = await world.rule()
    await fail(world, issued.rule.destination_id)
    assert (await seen(world.services)).destinations["failing"] == 1
    async with world.services.database.transaction() as tx:
        await tx.execute(f"UPDATE notification_rules SET {end}")
    assert (await seen(world.services)).destinations["failing"] == 0
    assert await fares(world.services) == []


async def test_in_app_is_a_destination_without_an_address(world: World) -> None:
    await world.rule(Channel.IN_APP, config={})
    await world.rule(Channel.WEBHOOK)
    assert {one.channel: one.over_http for one in await fares(world.services)} == {"IN_APP": False, "WEBHOOK": True}


async def test_all_numbers_take_five_statements(world: World) -> None:
    statements: list[str] = []
    async with world.services.database.read() as reader:
        reader.connection.add_query_logger(lambda record: statements.append(record.query))
        await read_gauges(reader, world.services.clock.now())
    assert len(statements) == 5
