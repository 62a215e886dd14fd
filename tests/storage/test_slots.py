"""Places that owners take in turn."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from domain.errors import Throttled
from storage.slots import Slots


class Work:
    """Tasks that hold a place until they are told to end; `began` has their owners in the order of their beginnings."""

    def __init__(self, places: int, leaves: int = 1) -> None:
        self.slots = Slots(places, "places", leaves)
        self.began: list[str] = []
        self.running: dict[str, list[asyncio.Event]] = {}
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, owners: str) -> None:
        """One task for each letter, an owner."""
        self.tasks += [asyncio.create_task(self._work(owner)) for owner in owners]
        await settled()

    async def end(self, owners: str) -> None:
        """End one running task for each letter, one after the other."""
        for owner in owners:
            self.running[owner].pop(0).set()
            await settled()

    async def _work(self, owner: str) -> None:
        async with self.slots.taken(owner):
            self.began.append(owner)
            over = asyncio.Event()
            self.running.setdefault(owner, []).append(over)
            await over.wait()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_owner_holds_as_many_places_as_it_leaves_free() -> None:
    work = Work(8)
    await work.start("aaaaaaaa")
    assert work.began == list("aaaa")
    await work.start("bbbb")
    assert work.began == list("aaaabb")
    await work.start("c")
    assert work.began == list("aaaabbc"), "there is always a place for one more"


async def test_an_owner_may_have_to_leave_more_free_than_it_holds() -> None:
    work = Work(12, leaves=2)
    await work.start("aaaaaaaa")
    assert work.began == list("aaaa")
    await work.start("bbbbbbbb")
    assert work.began == list("aaaabbb")


async def test_a_single_place_is_of_use() -> None:
    work = Work(1)
    await work.start("ab")
    await work.end("a")
    assert work.began == list("ab")


async def test_owners_are_served_in_turn_whatever_the_number_of_their_requests() -> None:
    work = Work(2)
    await work.start("aaaaaa")
    await work.start("bbcc")
    await work.end("abab")
    assert work.began == list("ababca")
    await work.end("ca")
    assert work.began == list("ababcaca")


async def test_who_waits_too_long_is_told_to_come_back_and_leaves_no_trace() -> None:
    slots = Slots(2, "places")
    async with AsyncExitStack() as held:
        await held.enter_async_context(slots.taken("a"))
        with pytest.raises(Throttled, match="places") as refused:
            async with slots.taken("a", 0.01):
                pass
        assert refused.value.retry_after > 0
        assert refused.value.limit == "places"
    async with AsyncExitStack() as held:
        await held.enter_async_context(slots.taken("a", 0.01))


async def test_a_cancelled_request_holds_no_place() -> None:
    work = Work(1)
    await work.start("aaa")
    work.tasks[1].cancel()
    await work.end("a")
    assert work.began == list("aa")
    work.tasks[2].cancel()
    await settled()
    await work.start("b")
    assert work.began == list("aab")


async def test_a_place_given_in_the_moment_of_a_cancellation_is_given_on() -> None:
    work = Work(1)
    await work.start("aab")
    work.running["a"].pop(0).set()
    while not work.tasks[0].done():
        await asyncio.sleep(0)
    work.tasks[1].cancel()
    await settled()
    assert work.began == list("ab")
