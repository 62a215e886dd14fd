"""The process host: wake-ups, coalescing, the loss of Redis, and an orderly end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from storage.schedule.wakeups import Job, enqueue_wake_up
from storage.services import Services
from workers.host import Host


class Work:
    """Counts its rounds, and can be held at work."""

    def __init__(self) -> None:
        self.rounds = 0
        self.most_at_once = 0
        self._now = 0
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, _services: Services) -> None:
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        self.rounds += 1
        await self.go_on.wait()
        self._now -= 1


async def eventually(condition: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def hosting(services: Services, work: Work, swept: Work) -> AsyncIterator[Host]:
    host = Host(services, {Job.DRAIN: work}, swept)
    running = asyncio.create_task(host.run())
    try:
        yield host
    finally:
        work.go_on.set()
        host.stop()
        await asyncio.wait_for(running, 60)


async def test_a_wake_up_starts_the_work_and_the_clock_the_sweep(own_services: Services) -> None:
    work, swept = Work(), Work()
    async with hosting(own_services, work, swept):
        await eventually(lambda: swept.rounds >= 1)
        await enqueue_wake_up(own_services.redis, Job.DRAIN)
        await eventually(lambda: work.rounds == 1)


async def test_wake_ups_during_the_work_become_one_more_round(own_services: Services) -> None:
    work = Work()
    async with hosting(own_services, work, Work()):
        work.go_on.clear()
        await enqueue_wake_up(own_services.redis, Job.DRAIN)
        await eventually(lambda: work.rounds == 1)
        for _ in range(5):
            await enqueue_wake_up(own_services.redis, Job.DRAIN)
            await asyncio.sleep(0.05)
        assert work.rounds == 1
        work.go_on.set()
        await eventually(lambda: work.rounds == 2)
        await asyncio.sleep(0.2)
        assert work.rounds == 2
        assert work.most_at_once == 1


async def test_a_failing_job_does_not_stop_the_next(own_services: Services) -> None:
    calls = 0

    async def failing(_services: Services) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("the first one fails")

    host = Host(own_services, {Job.DRAIN: failing}, Work())
    running = asyncio.create_task(host.run())
    await enqueue_wake_up(own_services.redis, Job.DRAIN)
    await eventually(lambda: calls == 1)
    await enqueue_wake_up(own_services.redis, Job.DRAIN)
    await eventually(lambda: calls == 2)
    host.stop()
    await asyncio.wait_for(running, 60)


async def test_a_wiped_redis_is_rung_again(own_services: Services) -> None:
    work = Work()
    async with hosting(own_services, work, Work()):
        await enqueue_wake_up(own_services.redis, Job.DRAIN)
        await eventually(lambda: work.rounds == 1)
        await own_services.redis.flushdb()
        await enqueue_wake_up(own_services.redis, Job.DRAIN)
        await eventually(lambda: work.rounds == 2)


async def test_stopping_waits_for_the_work_at_hand(own_services: Services) -> None:
    work = Work()
    work.go_on.clear()
    host = Host(own_services, {Job.DRAIN: work}, Work())
    running = asyncio.create_task(host.run())
    await enqueue_wake_up(own_services.redis, Job.DRAIN)
    await eventually(lambda: work.rounds == 1)
    host.stop()
    await asyncio.sleep(0.3)
    assert not running.done()
    work.go_on.set()
    await asyncio.wait_for(running, 60)


@pytest.mark.parametrize("times", [1, 3])
async def test_nudges_without_a_worker_wait_as_one_job(own_services: Services, times: int) -> None:
    for _ in range(times):
        await enqueue_wake_up(own_services.redis, Job.DRAIN)
    assert len(await own_services.redis.queued_jobs()) == 1
