"""Redis only wakes workers: whatever it forgets is asked for again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

import pytest
from arq.constants import in_progress_key_prefix

from storage.schedule.wakeups import Job, enqueue_wake_up
from storage.services import Services
from tests.failures.backlog import (
    accept_builds,
    assert_ledger_whole,
    assert_recorded_once,
    is_sealed,
    make_target,
    statuses,
)
from tests.journeys.senders import commit_of
from tests.journeys.waiting import eventually
from workers.__main__ import jobs
from workers.host import Host
from workers.relay import Relay
from workers.sweeps import sweep

COMMITS = [commit_of("redis", n) for n in range(10)]
SWEEP = 1
PATIENCE = 6
"""Seconds: a few sweeps."""


@asynccontextmanager
async def worker(services: Services) -> AsyncIterator[None]:
    """A worker in this process, sweeping every second."""
    settings = services.settings.model_copy(update={"sweep_interval": SWEEP})
    swift = replace(services, settings=settings)
    async with Relay.opened(swift) as relay:
        host = Host(swift, jobs(relay), sweep)
        running = asyncio.create_task(host.run())
        try:
            yield
        finally:
            host.stop()
            await asyncio.wait_for(running, 10)


async def settled(services: Services, receipts: list[UUID], seconds: float = PATIENCE) -> None:
    async def done() -> bool:
        return set(await statuses(services, receipts)) == {"SUCCESS"}

    await eventually(done, seconds, "the outcome of the deliveries")


async def test_a_nudge_that_was_wiped_before_anybody_heard_it_is_rung_again(own_services: Services) -> None:
    target = await make_target(own_services)
    receipts = await accept_builds(own_services, target, COMMITS)
    await enqueue_wake_up(own_services.redis, Job.DRAIN)
    await own_services.redis.flushdb()
    async with worker(own_services):
        await settled(own_services, receipts)
    await assert_recorded_once(own_services, receipts, COMMITS)


async def test_what_nobody_rang_for_is_found_by_the_sweep_of_an_idle_worker(own_services: Services) -> None:
    target = await make_target(own_services)
    async with worker(own_services):
        first = await accept_builds(own_services, target, COMMITS[:1])
        await enqueue_wake_up(own_services.redis, Job.DRAIN)
        await settled(own_services, first)
        receipts = await accept_builds(own_services, target, COMMITS[1:])
        await own_services.redis.flushdb()
        await settled(own_services, receipts)
        await eventually(lambda: is_sealed(own_services), PATIENCE, "the seal, rung for by nobody either")
    await assert_recorded_once(own_services, first + receipts, COMMITS)
    await assert_ledger_whole(own_services, target.tenant.org_id)


async def test_wipes_amid_a_drain_lose_and_repeat_nothing(own_services: Services) -> None:
    target = await make_target(own_services)
    commits = [commit_of("wiped", n) for n in range(600)]
    receipts = await accept_builds(own_services, target, commits)

    async with worker(own_services):
        await enqueue_wake_up(own_services.redis, Job.DRAIN)
        for _ in range(20):
            await own_services.redis.flushdb()
            await asyncio.sleep(0.05)
        await settled(own_services, receipts, 2 * PATIENCE)
        await eventually(lambda: is_sealed(own_services), PATIENCE)
    await assert_recorded_once(own_services, receipts, commits)
    await assert_ledger_whole(own_services, target.tenant.org_id)


@pytest.mark.parametrize("job", list(Job))
async def test_a_worker_killed_before_a_jobs_first_act_silences_the_bell_for_no_longer_than_a_sweep(
    own_services: Services, job: Job
) -> None:
    target = await make_target(own_services)
    await enqueue_wake_up(own_services.redis, job)
    # What arq leaves behind when its process dies between picking a job up and running it.
    await own_services.redis.set(f"{in_progress_key_prefix}{job.value}:0", b"1", px=610_000)
    async with worker(own_services):
        receipts = await accept_builds(own_services, target, COMMITS)
        await settled(own_services, receipts)
        await eventually(lambda: is_sealed(own_services), PATIENCE, "the seal")


async def test_many_rings_at_once_are_heard(own_services: Services) -> None:
    target = await make_target(own_services)
    async with worker(own_services):
        receipts: list[UUID] = []
        for commit in COMMITS:
            receipts += await accept_builds(own_services, target, [commit])
            await asyncio.gather(*(enqueue_wake_up(own_services.redis, Job.DRAIN) for _ in range(5)))
        await settled(own_services, receipts)
    await assert_recorded_once(own_services, receipts, COMMITS)
