"""Token buckets that several processes share over a real Redis; here each `SharedBuckets` is a process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic
from uuid import uuid4

import pytest

from domain.errors import Unavailable
from domain.identity.rates import RATE_TERMS, RateLimit
from storage import rate_limits
from storage.rate_limits import MAX_BUCKETS, WINDOW, Bucket, Limited, SharedBuckets
from storage.services import Services
from tests.journeys.waiting import eventually

PER_MINUTE = 10


class Process:
    """What one process knows of one limit."""

    def __init__(self) -> None:
        self.shared = SharedBuckets()
        self.limited = Limited(RateLimit.KEY, PER_MINUTE)

    def allowed(self, owner: str, requests: int) -> int:
        """How many of so many requests are let through."""
        bucket, allowed = self.limited.bucket(owner), 0
        for _ in range(requests):
            if bucket.wait(monotonic()) <= 0:
                self.shared.spend(bucket, monotonic())
                allowed += 1
        return allowed

    async def told(self, owner: str) -> Bucket:
        """The bucket once Redis knows all that was spent of it here."""
        bucket = self.limited.bucket(owner)

        async def known() -> bool:
            return not bucket.untold

        await eventually(known, 5, "the answer of Redis")
        return bucket


@asynccontextmanager
async def processes(services: Services, number: int) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        found = [Process() for _ in range(number)]
        for one in found:
            await stack.enter_async_context(one.shared.opened(str(services.settings.redis_url)))
        yield found


@pytest.fixture
def owner() -> str:
    return uuid4().hex


def test_a_process_lets_through_what_the_limit_says(owner: str) -> None:
    process = Process()
    assert process.allowed(owner, 100) == PER_MINUTE
    bucket = process.limited.bucket(owner)
    assert bucket.remaining(monotonic()) == 0
    assert bucket.wait(bucket.full_at - WINDOW + bucket.interval) <= 0, "one is added after an interval"
    assert bucket.remaining(bucket.full_at) == PER_MINUTE


async def test_what_one_process_spent_another_has_not(services: Services, owner: str) -> None:
    async with processes(services, 2) as (first, second):
        assert first.allowed(owner, PER_MINUTE - 3) == PER_MINUTE - 3
        await first.told(owner)
        assert second.allowed(owner, 1) == 1
        await second.told(owner)
        assert second.allowed(owner, 100) == 2
        assert second.allowed(uuid4().hex, 1) == 1, "a bucket of its own"


async def test_what_processes_let_through_at_the_same_moment_is_paid_back(services: Services, owner: str) -> None:
    async with processes(services, 2) as both:
        assert [one.allowed(owner, 100) for one in both] == [PER_MINUTE] * 2
        waits = [(await one.told(owner)).wait(monotonic()) for one in both]
        assert max(waits) > WINDOW / 2, "a process that alone spent all would wait for an interval"


async def test_a_bucket_leaves_nothing_behind_once_it_is_full(services: Services, owner: str) -> None:
    async with processes(services, 1) as (process,):
        process.allowed(owner, 2)
        await process.told(owner)
        name = process.limited.name(owner)
        left = await services.redis.pttl(name) / 1000
        assert 0 < left <= 2 * WINDOW / PER_MINUTE + 0.1
        assert [key async for key in services.redis.scan_iter(match=f"*{owner}*")] == [name.encode()]


@pytest.mark.parametrize("off", [-10_000, 10_000])
async def test_a_clock_that_jumps_locks_nobody_out(services: Services, owner: str, off: int) -> None:
    """What Redis has was written by another clock, hours ahead or behind."""
    async with processes(services, 1) as (process,):
        seconds, _ = await services.redis.time()
        await services.redis.set(process.limited.name(owner), f"{(seconds + off) * 1_000_000}")
        process.allowed(owner, 1)
        bucket = await process.told(owner)
        assert bucket.wait(monotonic()) <= WINDOW + bucket.interval
        assert (bucket.wait(monotonic()) <= 0) == (off < 0)


def test_a_process_remembers_a_bounded_number_of_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MAX_BUCKETS", 100)
    process = Process()
    for number in range(250):
        process.allowed(f"2001:db8:0:{number:x}::", 1)
    assert len(process.limited._of) == 100
    assert MAX_BUCKETS * len(RATE_TERMS) < 100_000


async def test_who_asks_and_is_refused_takes_nothing(services: Services, owner: str) -> None:
    async with processes(services, 2) as (first, second):
        waits = [await first.shared.ask(f"rate:test:{owner}", WINDOW / 3) for _ in range(3)]
        assert waits == [0, 0, 0]
        refused = [await second.shared.ask(f"rate:test:{owner}", WINDOW / 3) for _ in range(5)]
        assert all(0 < wait <= WINDOW / 3 for wait in refused)


async def test_without_redis_a_process_keeps_to_the_limit_by_itself(tmp_path: Path, owner: str) -> None:
    process = Process()
    async with process.shared.opened(f"unix://{tmp_path}/nobody.sock"):
        assert process.allowed(owner, 100) == PER_MINUTE
        bucket = await process.told(owner)
        assert bucket.wait(monotonic()) > 0
        assert process.allowed(owner, 100) == 0
        with pytest.raises(Unavailable):
            await process.shared.ask("rate:test", 1.0)


async def test_a_redis_that_never_answers_is_left_alone_after_the_first_attempt(tmp_path: Path) -> None:
    connections = 0

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.read()
        writer.close()

    path = str(tmp_path / "hangs.sock")
    async with await asyncio.start_unix_server(hang, path):
        process = Process()
        async with process.shared.opened(f"unix://{path}"):
            asking = [process.shared.ask(f"rate:test:{number}", 1.0) for number in range(50)]
            answers = await asyncio.gather(*asking, return_exceptions=True)
            assert {type(answer) for answer in answers} == {Unavailable}
            assert connections == 1


async def test_many_buckets_are_told_of_in_a_few_calls(services: Services) -> None:
    async with processes(services, 1) as (process,):
        calls = (await services.redis.info("commandstats")).get("cmdstat_evalsha", {}).get("calls", 0)
        owners = [uuid4().hex for _ in range(1000)]
        for owner in owners:
            process.allowed(owner, 3)
        for owner in owners:
            await process.told(owner)
        stats = await services.redis.info("commandstats")
        assert stats["cmdstat_evalsha"]["calls"] - calls < 100


async def test_it_closes_at_any_moment_of_a_report(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """`asyncio.wait_for`, which redis-py uses, may lose the cancellation that arrives together with an answer."""
    monkeypatch.setattr(rate_limits, "PAUSE", 0.001)

    async def spend_and_leave(delay: float) -> None:
        process = Process()
        async with process.shared.opened(str(services.settings.redis_url)):
            process.allowed("x", 1)
            await asyncio.sleep(delay)

    leaving = [spend_and_leave(0.001 + 0.00002 * number) for number in range(200)]
    async with asyncio.timeout(20):
        for first in range(0, len(leaving), 10):
            await asyncio.gather(*leaving[first : first + 10])
