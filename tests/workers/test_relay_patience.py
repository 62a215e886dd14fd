"""The relay over hours and over heaps, with a clock that the test turns."""

import gc
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.outbox.commands import NewMessage, enqueue
from storage.services import Services, open_services
from tests.conftest import Installation
from tests.storage.world import World
from tests.workers.receiver import receiving
from tests.workers.test_relay import failing, listened, notifications, statuses
from workers.relay import Relay


class TurnedClock:
    """The time now, and however much the test turned it on."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
async def turned(own_installation: Installation, tmp_path: Path, clock: TurnedClock) -> AsyncIterator[Services]:
    settings = own_installation.settings(tmp_path, outbound_allow="127.0.0.0/8", outbound_timeout=2.0)
    async with open_services(settings, "test", clock) as opened:
        await opened.redis.flushdb()
        yield opened


async def test_a_receiver_that_was_down_for_an_hour_has_each_message_once_soon_after_it_is_back(
    turned: Services, clock: TurnedClock
) -> None:
    world = await World.founded(turned)
    async with receiving() as receiver:
        await listened(world, receiver)  # its secret is not checked: signed times are of the turned clock
    trail = await failing(world, 10)
    async with Relay.opened(turned) as relay:
        for minute in range(60):
            if minute % 6 == 0:
                await failing(world, 1, trail)
            await relay(turned)
            clock.ahead += timedelta(minutes=1)
        async with receiving(port=receiver.port) as back:
            for _ in range(7):  # the longest rest of a circuit is six minutes
                await relay(turned)
                clock.ahead += timedelta(minutes=1)
            assert await statuses(world) == ["SENT"] * 20
            assert set(back.copies.values()) == {1}
            assert [body["data"]["attestation"] for body in back.bodies] == [f"t{n}" for n in range(10)] + ["t0"] * 10
    titles = [row["title"] for row in await notifications(world)]
    assert [title.split()[-1] for title in titles] == ["failing", "again"]


@pytest.mark.slow
async def test_a_hundred_thousand_messages_for_a_dead_destination_harm_nobody(
    turned: Services, clock: TurnedClock
) -> None:
    world = await World.founded(turned)
    async with receiving() as dead:
        grave = await listened(world, dead)
    async with turned.database.read() as reader:
        rule = await reader.value("SELECT id FROM notification_rules")
    payload = {"title": "t", "message": "m", "severity": "INFO"}
    for batch in range(20):
        new = [
            NewMessage(grave, "WEBHOOK", "ATTESTATION_FAILED", f"s{batch}.{n}", payload, rule_id=rule)
            for n in range(5000)
        ]
        async with turned.database.transaction() as tx:
            await enqueue(tx, world.tenant, new)
    async with Relay.opened(turned) as relay, receiving() as alive:
        await relay(turned)  # whatever is made once is made now
        await listened(world, alive)
        alive.secret = None  # signed times are of the turned clock
        gc.collect()
        tracemalloc.start()
        for minute in range(30):
            await failing(world)
            before = len(alive.taken)
            await relay(turned)
            assert len(alive.taken) == before + 1, "delivered in the first round, whatever waits for the dead one"
            clock.ahead += timedelta(minutes=1)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 8 * 2**20
    async with turned.database.read() as reader:
        tried = await reader.value("SELECT count(*) FROM attempts WHERE outcome <> 'SENT'")
        waiting = await reader.value("SELECT count(*) FROM outbox WHERE destination_id = $1", grave)
    assert tried < 400, "a circuit that is open is probed, not hammered"
    assert waiting > 99_000
