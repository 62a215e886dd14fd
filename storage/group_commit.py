"""Group commit: what arrives while one batch is being written shares the next transaction (engineering.md 2.3)."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from domain.errors import Unavailable

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

Write = Callable[[Sequence[Item]], Awaitable[Sequence[Outcome]]]
"""Writes a batch in one transaction; outcomes are in the order of the items."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may wait, in items and bytes; how large a batch is; how many batches are written at once."""

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

    There is no timer: a lone item is written at once, and the busier it gets the larger the batches grow. Another
    batch is begun beside one at work only when enough waits to be worth its commit. A batch that fails is written again
    item by item, so that a poisonous one fails alone.
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
        """Items waiting for a batch."""
        return len(self._waiting)

    async def submit(self, item: Item, weight: int = 0) -> Outcome:
        """Wait for the commit. Raises Unavailable when too much waits already, else whatever the write raised.

        A caller that is cancelled does not take the item back: once handed over, it is written.
        """
        if self._closing or len(self._waiting) >= self._limits.items or self._weight + weight > self._limits.weight:
            raise Unavailable("Too much is waiting to be written; try again shortly.", 1)
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(item, weight, outcome))
        self._weight += weight
        self._arrived.set()
        return await outcome

    async def close(self) -> None:
        """Write what waits, take nothing more, end the writers."""
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
            await asyncio.sleep(0)  # whatever else this turn of the loop brings shares the batch
            batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._limits.batch))]
            if batch:
                await self._settle(batch)
            self._weight -= sum(waiting.weight for waiting in batch)
            self._working -= 1
            if self._closing:
                self._arrived.set()  # for a writer that found too little to begin a batch

    def _worth_a_batch(self) -> bool:
        """Whoever is at work takes what waits when it is done; this many are worth a commit of their own."""
        enough = self._limits.batch // 8 if self._working else 1
        return len(self._waiting) >= max(1, enough)

    async def _settle(self, batch: Sequence[_Waiting[Item, Outcome]]) -> None:
        try:
            outcomes = await self._write([waiting.item for waiting in batch])
        except Exception as error:  # noqa: BLE001 - the error belongs to whoever waits for it
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
