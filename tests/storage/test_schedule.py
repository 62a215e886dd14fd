"""The schedule: one turn at a time, and how late a sweep is."""

from datetime import timedelta

import pytest

from storage.database import Row
from storage.schedule.commands import done, due
from storage.schedule.queries import NEVER, sweep_lags
from storage.schedule.sweeps import EVERY_ROUND, INTERVALS, RECORDED_EVERY, Sweep
from storage.services import Services
from tests.storage.shifted import later

SECOND = timedelta(seconds=1)
LEASE = 600


async def ask(services: Services, name: str = "x") -> bool:
    async with services.database.transaction() as tx:
        return await due(tx, name, LEASE)


async def finish(services: Services, name: str, interval: timedelta) -> None:
    async with services.database.transaction() as tx:
        await done(tx, name, interval)


async def row(services: Services, name: str) -> Row | None:
    async with services.database.read() as reader:
        return await reader.row("SELECT next_run_at, last_run_at, xmin, xmax FROM schedule WHERE name = $1", name)


async def lags(services: Services) -> dict[str, timedelta]:
    async with services.database.read() as reader:
        return dict(await sweep_lags(reader, services.clock.now()))


async def test_a_turn_is_over_with_its_lease_unless_it_is_done(own_services: Services) -> None:
    assert await ask(own_services)
    taken = await row(own_services, "x")
    assert not await ask(later(own_services, LEASE * SECOND - SECOND))
    assert await row(own_services, "x") == taken, "not even locked"
    assert await ask(later(own_services, LEASE * SECOND + SECOND)), "whoever had it died"
    await finish(own_services, "x", timedelta(seconds=30))
    assert not await ask(later(own_services, timedelta(seconds=29)))
    assert await ask(later(own_services, timedelta(seconds=31)))


async def test_a_turn_is_no_success(own_services: Services) -> None:
    await ask(own_services)
    before = await row(own_services, "x")
    assert before is not None
    assert before["last_run_at"] is None
    await finish(own_services, "x", SECOND)
    after = await row(own_services, "x")
    assert after is not None
    assert after["last_run_at"] is not None
    assert after["next_run_at"] == after["last_run_at"] + SECOND


async def test_what_every_round_does_is_written_down_now_and_then(own_services: Services) -> None:
    await finish(own_services, "x", EVERY_ROUND)
    first = await row(own_services, "x")
    await finish(later(own_services, RECORDED_EVERY - SECOND), "x", EVERY_ROUND)
    assert await row(own_services, "x") == first, "not even touched"
    await finish(later(own_services, RECORDED_EVERY + SECOND), "x", EVERY_ROUND)
    assert await row(own_services, "x") != first


async def test_a_sweep_that_never_ran_is_late(own_services: Services) -> None:
    assert await lags(own_services) == {sweep.value: NEVER for sweep in Sweep}
    await ask(own_services, Sweep.RETENTION.value)
    assert (await lags(own_services))[Sweep.RETENTION] == NEVER


@pytest.mark.parametrize("sweep", Sweep)
async def test_a_lag_is_what_lies_beyond_the_interval(own_services: Services, sweep: Sweep) -> None:
    await finish(own_services, sweep.value, INTERVALS[sweep])
    interval = max(INTERVALS[sweep], RECORDED_EVERY)
    assert (await lags(later(own_services, interval - SECOND)))[sweep.value] == timedelta()
    late = (await lags(later(own_services, interval + timedelta(minutes=7))))[sweep.value]
    assert timedelta(minutes=7) <= late < timedelta(minutes=8)


async def test_a_failing_sweep_gets_later_and_later(own_services: Services) -> None:
    """Turns that are taken and not done do not look like successes."""
    name = Sweep.BLOBS.value
    await finish(own_services, name, INTERVALS[Sweep.BLOBS])
    for n in (1, 2, 3):
        services = later(own_services, n * timedelta(hours=1))
        assert await ask(services, name)
        assert (await lags(services))[name] > n * timedelta(hours=1) - timedelta(minutes=1)


def test_every_sweep_has_an_interval() -> None:
    assert INTERVALS.keys() == set(Sweep)
