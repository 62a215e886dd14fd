import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from domain.errors import Throttled, Unavailable
from storage.group_commit import GroupCommit, Limits

LIMITS = Limits(items=10, weight=100, batch=4, writers=1)


class Ledger:
    """A write that keeps what it was given, and can be held back or made to fail on one item."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.failed: list[list[int]] = []
        self.outcomes: list[int | BaseException] = []
        self.open = asyncio.Event()
        self.open.set()
        self.poison: int | None = None
        self.poisonous: frozenset[int] = frozenset()

    async def write(self, items: Sequence[int]) -> list[int]:
        await self.open.wait()
        if self.poisonous & set(items) or self.poison in items:
            self.failed.append(list(items))
            raise ValueError(f"cannot write {self.poison}")
        self.batches.append(list(items))
        return [item * 10 for item in items]


async def test_a_lone_item_is_written_at_once() -> None:
    ledger = Ledger()
    group: GroupCommit[int, int] = GroupCommit(ledger.write, LIMITS)
    assert await asyncio.wait_for(group.submit(7), 1) == 70
    await group.close()


async def test_what_arrives_meanwhile_shares_a_batch_and_everyone_gets_its_own_outcome() -> None:
    ledger = Ledger()
    group: GroupCommit[int, int] = GroupCommit(ledger.write, LIMITS)
    ledger.open.clear()
    waiting = [asyncio.create_task(group.submit(n)) for n in range(9)]
    await asyncio.sleep(0.01)
    ledger.open.set()
    assert await asyncio.gather(*waiting) == [n * 10 for n in range(9)]
    assert max(len(batch) for batch in ledger.batches) == LIMITS.batch
    await group.close()


async def test_a_poisonous_item_fails_alone() -> None:
    ledger = Ledger()
    ledger.poison = 2
    group: GroupCommit[int, int] = GroupCommit(ledger.write, LIMITS)
    outcomes = await asyncio.gather(*(group.submit(n) for n in range(4)), return_exceptions=True)
    assert outcomes[:2] == [0, 10]
    assert isinstance(outcomes[2], ValueError)
    assert outcomes[3] == 30
    await group.close()


async def test_too_many_and_too_heavy_are_refused_with_a_time_to_come_back() -> None:
    ledger = Ledger()
    ledger.open.clear()
    group: GroupCommit[int, int] = GroupCommit(ledger.write, LIMITS)
    first = asyncio.create_task(group.submit(0, weight=60))
    await asyncio.sleep(0.01)
    with pytest.raises(Unavailable) as heavy:
        await group.submit(1, weight=60)
    assert heavy.value.retry_after > 0
    waiting = [asyncio.create_task(group.submit(n)) for n in range(LIMITS.items)]
    await asyncio.sleep(0.01)
    with pytest.raises(Unavailable):
        await group.submit(99)
    ledger.open.set()
    await asyncio.gather(first, *waiting)
    assert await group.submit(1, weight=60) == 10
    await group.close()


async def test_closing_writes_what_waits_and_takes_nothing_more() -> None:
    ledger = Ledger()
    ledger.open.clear()
    group: GroupCommit[int, int] = GroupCommit(ledger.write, LIMITS)
    waiting = [asyncio.create_task(group.submit(n)) for n in range(5)]
    await asyncio.sleep(0.01)
    closing = asyncio.create_task(group.close())
    await asyncio.sleep(0.01)
    with pytest.raises(Unavailable):
        await group.submit(5)
    ledger.open.set()
    await closing
    assert await asyncio.gather(*waiting) == [0, 10, 20, 30, 40]


async def test_a_caller_that_gives_up_leaves_its_item_to_be_written() -> None:
    ledger = Ledger()
    ledger.open.clear()
    group: GroupCommit[int, int] = GroupCommit(ledger.write, LIMITS)
    caller = asyncio.create_task(group.submit(1))
    await asyncio.sleep(0.01)
    caller.cancel()
    other = asyncio.create_task(group.submit(2))
    ledger.open.set()
    assert await other == 20
    await group.close()
    assert sorted(item for batch in ledger.batches for item in batch) == [1, 2]


def of_tens(item: int) -> int:
    """Item 23 is the second owner's."""
    return item // 10


@asynccontextmanager
async def queued(ledger: Ledger, *items: int, limits: Limits = LIMITS) -> AsyncIterator[GroupCommit[int, int]]:
    """A group commit of several owners in whose queue these items wait, behind a first one of owner 0; then write."""
    group: GroupCommit[int, int] = GroupCommit(ledger.write, limits, of_tens)
    ledger.open.clear()
    waiting = [asyncio.create_task(group.submit(0))]
    await asyncio.sleep(0.01)
    waiting += [asyncio.create_task(group.submit(item)) for item in items]
    await asyncio.sleep(0.01)
    yield group
    ledger.open.set()
    ledger.outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    await group.close()


WIDE = Limits(items=200, weight=100, batch=32, writers=1)
"""With two items for each owner in a batch of several owners."""


async def test_a_flood_delays_another_owner_by_no_more_than_a_batch() -> None:
    ledger = Ledger()
    async with queued(ledger, 10, 11, 12, 13, 14, 15, 20, 21, 22, limits=WIDE):
        pass
    assert ledger.batches == [[0], [10, 11, 20, 21], [12, 13, 22], [14, 15]]


async def test_owners_are_served_in_turn_when_a_batch_is_too_small_for_all() -> None:
    ledger = Ledger()
    async with queued(ledger, *range(10, 200, 10), *range(11, 200, 10), *range(12, 200, 10), limits=WIDE):
        pass
    assert [sorted({item // 10 for item in batch}) for batch in ledger.batches[1:]] == [
        [*range(1, 17)],
        [*range(1, 20)],
        [17, 18, 19],
    ]


async def test_a_lone_owner_fills_whole_batches() -> None:
    ledger = Ledger()
    async with queued(ledger, 1, 2, 3, 4, 5, 6, 7, 8, 9, limits=replace(WIDE, batch=4)):
        pass
    assert [len(batch) for batch in ledger.batches] == [1, 4, 4, 1]


async def test_one_owner_has_one_batch_at_a_time_beside_others() -> None:
    """So that a writer is free for whoever comes."""
    ledger = Ledger()
    async with queued(ledger, 10, *range(1, 10), limits=replace(WIDE, writers=3)) as group:
        assert group.depth == 7, "0 is being written, and 10 with 1 and 2; the others wait, although a writer is free"
        other = asyncio.create_task(group.submit(20))
        await asyncio.sleep(0.01)
        assert group.depth == 7
        ledger.open.set()
        assert await other == 200


async def test_a_faulty_item_costs_the_others_one_more_write() -> None:
    ledger = Ledger()
    ledger.poison = 13
    limits = replace(WIDE, batch=64)
    async with queued(ledger, *range(10, 20), *range(20, 24), *range(30, 34), limits=limits):
        pass
    assert [type(one) for one in ledger.outcomes if not isinstance(one, int)] == [ValueError]
    failed = [batch for batch in ledger.failed if not {item // 10 for item in batch} <= {1}]
    assert len(failed) == 1, "only the first batch with the faulty item had others' in it"
    assert [20, 21, 22, 23] in ledger.batches
    assert [30, 31, 32, 33] in ledger.batches


@pytest.mark.parametrize("share", [1, 2, 10])
async def test_the_writes_for_faulty_items_are_bounded(share: int) -> None:
    """Every item, every second or every tenth one of an owner is faulty."""
    ledger = Ledger()
    items = [1000 + n for n in range(640)]
    ledger.poisonous = frozenset(items[::share])
    group: GroupCommit[int, int] = GroupCommit(ledger.write, Limits(2000, 0, 64, 2), lambda item: item // 1000)
    outcomes = await asyncio.gather(*(group.submit(item) for item in items), return_exceptions=True)
    await group.close()
    assert [isinstance(one, ValueError) for one in outcomes] == [item in ledger.poisonous for item in items]
    writes = len(ledger.batches) + len(ledger.failed)
    assert writes <= 2 * len(items)
    assert writes <= 10 * len(ledger.poisonous) + 32


async def test_after_its_faulty_item_an_owner_shares_batches_again() -> None:
    ledger = Ledger()
    group: GroupCommit[int, int] = GroupCommit(ledger.write, WIDE, of_tens)
    ledger.poison = 11
    await asyncio.gather(*(group.submit(item) for item in (10, 11, 20)), return_exceptions=True)
    for _ in range(8):
        await asyncio.gather(group.submit(10), group.submit(20))
    assert ledger.batches[-1] == [10, 20]
    await group.close()


async def test_a_flood_fills_no_more_of_the_queue_than_it_leaves_free() -> None:
    ledger = Ledger()
    async with queued(ledger, *range(1, 6)) as group:
        with pytest.raises(Throttled, match="write queue") as flood:
            await group.submit(6)
        assert flood.value.retry_after > 0
        others = [asyncio.create_task(group.submit(item)) for item in (10, 11, 20)]
        await asyncio.sleep(0.01)
        assert not any(other.done() for other in others)
        ledger.open.set()
        await asyncio.gather(*others)


async def test_bytes_are_shared_like_items() -> None:
    ledger = Ledger()
    async with queued(ledger) as group:
        heavy = asyncio.create_task(group.submit(1, weight=45))
        await asyncio.sleep(0.01)
        with pytest.raises(Throttled):
            await group.submit(2, weight=20)
        other = asyncio.create_task(group.submit(10, weight=50))
        await asyncio.sleep(0.01)
        ledger.open.set()
        assert (await heavy, await other) == (10, 100)
