"""Group commit: items that arrive while one batch is being written share the next transaction."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from domain.errors import Unavailable

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

Write = Callable[[Sequence[Item]], Awaitable[Sequence[Outcome]]]
"""Writes a batch in one transaction and returns one outcome per item, in the same order."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait, in `items` and in bytes (`weight`); items per batch; batches written concurrently."""

    items: int
    weight: int
    batch: int
    writers: int


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Item, Outcome]):
    item: Item
    weight: int
    outcome: "asyncio.Future[Outcome]"


class GroupCommit(Generic[Item, Outcome]):
    """Collects items and writes them in batches; each caller gets its own outcome after the commit.

    There is no timer: a lone item is written at once, and batches grow with the load. While one batch is being written,
    another one starts only when enough items wait to be worth a commit. A batch that fails is written again item by
    item, so that only the faulty item fails.
    """

    def __init__(self, write: Write[Item, Outcome], limits: Limits) -> None:
        self._write = write
        self._limits = limits
        self._waiting: deque[_Waiting[Item, Outcome]] = deque()
        self._weight = 0
        self._working = 0
        self._arrived = asyncio.Event()
        self._closing = False
        self._writers = [asyncio.create_task(self._run()) for _ in range(limits.writers)]

    @property
    def depth(self) -> int:
        """The number of items waiting for a batch."""
        return len(self._waiting)

    async def submit(self, item: Item, weight: int = 0) -> Outcome:
        """Write an item and return its outcome after the commit. Raises Unavailable when the queue is full.

        An error of the write is raised to the caller. Cancelling the caller does not withdraw the item.
        """
        if self._closing or len(self._waiting) >= self._limits.items or self._weight + weight > self._limits.weight:
            raise Unavailable("The write queue is full; try again shortly.", 1)
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(item, weight, outcome))
        self._weight += weight
        self._arrived.set()
        return await outcome

    async def close(self) -> None:
        """Accept no more items, write those that wait, and end the writers."""
        self._closing = True
        self._arrived.set()
        await asyncio.gather(*self._writers)

    async def _run(self) -> None:
        while True:
            while not self._worth_a_batch():
                if self._closing and not self._waiting:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            self._working += 1
            await asyncio.sleep(0)  # items submitted in this turn of the event loop share the batch
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._limits.batch))]
            if batch:
                await self._settle(batch)
            self._weight -= sum(waiting.weight for waiting in batch)
            self._working -= 1
            if self._closing:
                self._arrived.set()  # wakes a writer that had found too few items for a batch

    def _worth_a_batch(self) -> bool:
        """Whether enough items wait: one while all writers are idle, an eighth of a batch while one is busy."""
        enough = self._limits.batch // 8 if self._working else 1
        return len(self._waiting) >= max(1, enough)

    async def _settle(self, batch: Sequence[_Waiting[Item, Outcome]]) -> None:
        try:
            outcomes = await self._write([waiting.item for waiting in batch])
        except Exception as error:  # noqa: BLE001 - the error is raised to the callers that wait
            if len(batch) == 1 or isinstance(error, Unavailable):
                self._fail(batch, error)
            else:
                for waiting in batch:
                    await self._settle([waiting])
            return
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if not waiting.outcome.done():
                waiting.outcome.set_result(outcome)

    @staticmethod
    def _fail(batch: Sequence[_Waiting[Item, Outcome]], error: Exception) -> None:
        for waiting in batch:
            if not waiting.outcome.done():
                waiting.outcome.set_exception(error)
