import asyncio
from collections.abc import Sequence

import pytest

from domain.errors import Unavailable
from storage.group_commit import GroupCommit, Limits

LIMITS = Limits(items=10, weight=100, batch=4, writers=1)


class Ledger:
    """A write that keeps what it was given, and can be held back or made to fail on one item."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.poison: int | None = None

    async def write(self, items: Sequence[int]) -> list[int]:
        await self.open.wait()
        if self.poison in items:
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
