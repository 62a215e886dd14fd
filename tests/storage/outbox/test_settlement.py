"""Settling messages, and what an operator does about the dead ones."""

from datetime import timedelta
from uuid import uuid4

import pytest

from domain.errors import Conflict, NotFound
from domain.notifications.deliveries import HealthEvent
from domain.retries import ErrorClass
from storage.outbox.queries import attempts_of, dead_letters
from storage.outbox.recovery import Dead, enable_destination, replay, replay_destination, replay_message
from storage.services import Services
from tests.storage.outbox.letters import condition, destination, hasten, message, post, settled, take
from tests.storage.world import World


@pytest.fixture
async def world(own_services: Services) -> World:
    return await World.founded(own_services)


async def test_a_sent_message_leaves_the_queue_with_its_attempt(world: World) -> None:
    [one] = await post(world, await destination(world), "a")
    assert await settled(world.services, await take(world.services)) == []
    stored = await message(world, one)
    assert (stored.status, stored.attempts, stored.due_at, stored.error) == ("SENT", 1, None, None)
    async with world.services.database.read() as reader:
        [attempt] = await attempts_of(reader, world.tenant, one)
    assert (attempt.outcome, attempt.status_code, attempt.response) == ("SENT", 200, "ok")


async def test_every_attempt_is_a_row(world: World) -> None:
    [one] = await post(world, await destination(world), "a")
    for kind in (ErrorClass.TRANSIENT, ErrorClass.THROTTLED):
        await settled(world.services, await take(world.services), kind, wait=timedelta(seconds=60))
        await hasten(world)
    await settled(world.services, await take(world.services))
    async with world.services.database.read() as reader:
        found = await attempts_of(reader, world.tenant, one)
    assert [attempt.outcome for attempt in found] == ["SENT", "THROTTLED", "TRANSIENT"]
    assert (await message(world, one)).attempts == 3


async def test_a_message_given_up_is_a_dead_letter_that_can_be_replayed(world: World) -> None:
    where = await destination(world)
    [one] = await post(world, where, "a")
    [change] = await settled(world.services, await take(world.services), ErrorClass.PERMANENT)
    assert (change.event, change.label, change.reason) == (HealthEvent.EXHAUSTED, "https://example.org/…", "HTTP 500")
    async with world.services.database.transaction() as tx:
        assert [dead.id for dead in await dead_letters(tx, 10)] == [one]
        await replay_message(tx, world.tenant, one)
        await replay_message(tx, world.tenant, one)  # asked for twice
    taken = await take(world.services)
    assert (taken.ids, taken.messages[0].attempts) == ([one], 1)
    await settled(world.services, taken)
    async with world.services.database.transaction() as tx:
        with pytest.raises(Conflict, match="is SENT"):
            await replay_message(tx, world.tenant, one)


async def test_dead_letters_are_replayed_by_destination_and_by_organisation(world: World) -> None:
    other = await World.founded(world.services)
    mine, also = await destination(world, "https://a"), await destination(world, "https://b")
    await post(world, mine, "1", "2")
    await post(world, also, "3")
    theirs = await destination(other)
    await post(other, theirs, "4")
    await settled(world.services, await take(world.services), ErrorClass.PERMANENT)
    async with world.services.database.transaction() as tx:
        assert await replay_destination(tx, world.tenant, mine) == 2
        with pytest.raises(NotFound):
            await replay_destination(tx, world.tenant, theirs)
        assert await replay(tx, Dead(world.tenant)) == 1
        assert await replay(tx, Dead()) == 1
        assert await replay(tx, Dead()) == 0


async def test_who_wants_no_more_keeps_what_waited_as_dead_letters_until_it_is_enabled(world: World) -> None:
    where = await destination(world)
    first, second = await post(world, where, "a", "b")
    gone = await settled(world.services, await take(world.services, each=1), ErrorClass.PERMANENT, gone=True)
    assert [change.event for change in gone] == [HealthEvent.DISABLED]
    assert [(await message(world, one)).status for one in (first, second)] == ["FAILED", "FAILED"]
    [skipped] = await post(world, where, "c")
    assert (await message(world, skipped)).status == "SKIPPED"
    async with world.services.database.transaction() as tx:
        with pytest.raises(Conflict, match="Enable it first"):
            await replay_destination(tx, world.tenant, where)
        assert await replay(tx, Dead()) == 0
        enabled = await enable_destination(tx, world.tenant, where)
        assert (enabled.disabled_at, enabled.failures) == (None, 0)
        assert await replay_destination(tx, world.tenant, where) == 2
        with pytest.raises(NotFound):
            await enable_destination(tx, world.tenant, uuid4())


async def test_a_destination_is_one_however_often_it_is_named_and_belongs_to_one_organisation(world: World) -> None:
    other = await World.founded(world.services)
    assert await destination(world) == await destination(world)
    theirs = await destination(other)
    assert await destination(world) != theirs
    assert await post(world, theirs, "a")  # a message for another organisation's destination goes nowhere
    assert (await take(world.services)).ids == []
    with pytest.raises(NotFound):
        await condition(world, theirs)
