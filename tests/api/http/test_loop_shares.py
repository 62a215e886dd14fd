"""Organisations share the event loop by the time that the steps of their requests take."""

import asyncio
from time import perf_counter

import pytest

from api.http import loop_shares
from api.http.loop_shares import BURST, LoopShares

STEPS = 10
LONG = BURST / 2


class Work:
    """Requests that are busy for a while between two waits; `log` has the owner of each step."""

    def __init__(self) -> None:
        self.shares = LoopShares()
        self.log: list[str] = []

    def start(self, owner: str, seconds: float = 0.0) -> asyncio.Task[str]:
        return asyncio.create_task(self._run(owner, seconds))

    async def _run(self, owner: str, seconds: float) -> str:
        return await self.shares.run(owner, self._request(owner, seconds))

    async def _request(self, owner: str, seconds: float) -> str:
        for _ in range(STEPS):
            self.log.append(owner)
            until = perf_counter() + seconds
            while perf_counter() < until:
                pass
            await asyncio.sleep(0)
        return owner


async def test_an_owner_who_is_alone_is_not_stopped() -> None:
    work = Work()
    tasks = [work.start("busy", LONG) for _ in range(8)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(work.log) >= 8, "each has made a step in the first turn of the loop"
    assert await asyncio.gather(*tasks) == ["busy"] * 8


async def test_a_step_of_another_owner_waits_for_a_step_of_the_busy_one_and_not_for_all_of_them() -> None:
    work = Work()
    busy = [work.start("busy", LONG) for _ in range(20)]
    await asyncio.sleep(0)
    await work.start("quiet")  # from now on it is present
    await asyncio.sleep(0.05)
    work.log.clear()
    await work.start("quiet")
    between = len(work.log) - STEPS
    assert between <= 2 * STEPS, "without shares it is 20 times as many as those of the quiet one"
    await asyncio.gather(*busy)
    assert work.log.count("busy") > between, "they went on later"


async def test_whoever_needs_little_is_never_told_to_wait() -> None:
    work = Work()
    busy = [work.start("busy", LONG) for _ in range(20)]
    await asyncio.sleep(0)
    for _ in range(5):
        turns, quiet = 0, work.start("quiet")
        while not quiet.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns <= STEPS + 3
    await asyncio.gather(*busy)


async def test_a_request_that_is_cancelled_while_it_waits_hears_of_it_and_others_go_on() -> None:
    work = Work()
    busy = [work.start("busy", LONG) for _ in range(6)]
    await work.start("quiet")
    for cancelled in busy[::2]:
        cancelled.cancel()
    ended = await asyncio.gather(*busy, return_exceptions=True)
    assert [isinstance(one, asyncio.CancelledError) for one in ended] == [True, False] * 3


async def test_results_errors_and_timeouts_pass_through() -> None:
    async def failing() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        await asyncio.sleep(0)
        raise LookupError

    shares = LoopShares()
    assert await shares.run("a", asyncio.sleep(0, "done")) == "done"
    with pytest.raises(LookupError):
        await shares.run("a", failing())


async def test_owners_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_shares, "LATELY", 0.05)
    shares = LoopShares()
    for number in range(100):
        await shares.run(number, asyncio.sleep(0.005))
    assert len(shares._present) < 50


async def test_a_request_that_waits_for_long_slows_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_shares, "LATELY", 0.01)
    shares, over = LoopShares(), asyncio.Event()
    stream = asyncio.create_task(shares.run("idle", over.wait()))
    await asyncio.sleep(0.02)
    await shares.run("busy", asyncio.sleep(0))
    assert len(shares._present) == 1
    over.set()
    assert await stream
