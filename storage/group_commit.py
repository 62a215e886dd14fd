"""Group commit: items that arrive while one batch is being written share the next transaction.

Several owners, the organisations, share a group commit. Each has a queue of its own; batches serve the queues in turn.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from domain.errors import Throttled, Unavailable

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

Write = Callable[[Sequence[Item]], Awaitable[Sequence[Outcome]]]
"""Writes a batch in one transaction and returns one outcome per item, in the same order."""

LATELY = 1.0
"""Seconds for which an owner, once seen, limits how much of what all share another one may take."""
RETRY_AFTER = 1
"""Seconds after which a refused caller should try again."""
SHARE = "share of the write queue"
"""The name of the limit that an owner's items may meet."""


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
    owner: Hashable
    weight: int
    outcome: "asyncio.Future[Outcome]"


@dataclass(eq=False, slots=True)
class _Queue(Generic[Item, Outcome]):
    """The items of one owner.

    `weight` and `pending` include the items being written. `most` is the number of items that a batch may take; it is
    less than a full batch after a failed one, and then the owner writes alone. While `busy`, the owner waits for the
    end of a batch.
    """

    most: int
    items: deque[_Waiting[Item, Outcome]] = field(default_factory=deque)
    weight: int = 0
    pending: int = 0
    busy: bool = False


class _Queues(Generic[Item, Outcome]):
    """The queues of all owners, and whose turn it is."""

    def __init__(self, batch: int) -> None:
        self.waiting = 0
        self.weight = 0
        self._batch = batch
        self._share = max(1, batch // 16)
        """How many items of one owner are in a batch while there are other owners."""
        self._lately: OrderedDict[Hashable, float] = OrderedDict()
        """When each owner last added an item, the longest ago first."""
        self._of: dict[Hashable, _Queue[Item, Outcome]] = {}
        self._turns: deque[Hashable] = deque()
        """The owners who have items and may write now; the first is next."""

    def holds(self, owner: Hashable) -> tuple[int, int]:
        """Return how many items of an owner wait, and the weight of all its items."""
        queue = self._of.get(owner)
        return (len(queue.items), queue.weight) if queue else (0, 0)

    def add(self, waiting: _Waiting[Item, Outcome], now: float) -> None:
        """Add an item at the end of its owner's queue."""
        queue = self._of.get(waiting.owner)
        if queue is None:
            queue = self._of[waiting.owner] = _Queue(self._batch)
        queue.items.append(waiting)
        queue.weight += waiting.weight
        queue.pending += 1
        self.waiting += 1
        self.weight += waiting.weight
        if now - self._lately.get(waiting.owner, 0) > LATELY / 10:
            self._lately[waiting.owner] = now
            self._lately.move_to_end(waiting.owner)
        if len(queue.items) == 1 and not queue.busy:
            self._turns.append(waiting.owner)

    def worth_a_batch(self, now: float, *, working: bool) -> bool:
        """Return whether enough items wait for a batch.

        One is enough, but while a batch is being written (`working`) a single owner has to have an eighth of a batch.
        """
        enough = self._batch // 8 if working and not self._several(now) else 1
        return bool(self._turns) and self.waiting >= enough

    def take(self, now: float) -> list[_Waiting[Item, Outcome]]:
        """Take the next batch: from the owners in turn, or from one who writes alone.

        While there are several owners, each puts up to a sixteenth of a batch into it, and no more before that is
        written: so one of them has neither most of a batch nor all writers.
        """
        batch: list[_Waiting[Item, Outcome]] = []
        several = self._several(now)
        while self._turns and len(batch) < self._batch:
            owner = self._turns[0]
            queue = self._of[owner]
            alone = queue.most < self._batch
            if alone and batch:
                break
            self._turns.popleft()
            most = min(queue.most, self._share) if several else queue.most
            batch += [queue.items.popleft() for _ in range(min(most, self._batch - len(batch), len(queue.items)))]
            queue.busy = alone or several
            if queue.items and not queue.busy:
                self._turns.append(owner)
            if alone:
                break
        self.waiting -= len(batch)
        return batch

    def _several(self, now: float) -> bool:
        """Return whether more than one owner has items, or had some within the last second."""
        while self._lately and now - next(iter(self._lately.values())) > LATELY:
            self._lately.popitem(last=False)
        return len(self._lately) > 1 or len(self._turns) > 1

    def succeeded(self, batch: Sequence[_Waiting[Item, Outcome]]) -> None:
        """Forget the items of a batch. Its owners may put twice as many into their next ones, up to a full batch."""
        for owner in {waiting.owner for waiting in batch}:
            self._of[owner].most = min(self._batch, self._of[owner].most * 2)
        self.drop(batch)

    def failed(self, batch: Sequence[_Waiting[Item, Outcome]]) -> None:
        """Put the items of a batch back. Its owners write alone next; a single owner half as many as it tried."""
        owners = {waiting.owner for waiting in batch}
        for owner in owners:
            queue = self._of[owner]
            queue.most = len(batch) // 2 if len(owners) == 1 else self._batch // 2
            self._released(owner, queue)
        for waiting in reversed(batch):
            queue = self._of[waiting.owner]
            queue.items.appendleft(waiting)
            if len(queue.items) == 1:
                self._turns.append(waiting.owner)
        self.waiting += len(batch)

    def drop(self, batch: Sequence[_Waiting[Item, Outcome]]) -> None:
        """Forget the items of a batch, written or not."""
        for waiting in batch:
            queue = self._of[waiting.owner]
            queue.weight -= waiting.weight
            queue.pending -= 1
            self.weight -= waiting.weight
        for owner in {waiting.owner for waiting in batch}:
            queue = self._of[owner]
            self._released(owner, queue)
            if not queue.pending and queue.most == self._batch:
                del self._of[owner]

    def _released(self, owner: Hashable, queue: _Queue[Item, Outcome]) -> None:
        """Let an owner who waited for the end of a batch write again."""
        if queue.busy:
            queue.busy = False
            if queue.items:
                self._turns.append(owner)


class GroupCommit(Generic[Item, Outcome]):
    """Collects items and writes them in batches; each caller gets its own outcome after the commit.

    There is no timer: a lone item is written at once, and batches grow with the load. While one batch is being written,
    another one starts only when enough items wait to be worth a commit.

    `owner` tells whose an item is. An owner may use as much of the queue as it leaves free, so that there is always
    space for another one; without it, all items have the same owner, who may use the whole queue.

    When a batch fails, each owner's items are written again apart from the others': the faulty item of one owner costs
    the others one more write. The owner whose items fail again writes half as many at once, until the faulty one fails
    alone; with each success twice as many, until it shares batches with the others again.
    """

    def __init__(
        self, write: Write[Item, Outcome], limits: Limits, owner: Callable[[Item], Hashable] | None = None
    ) -> None:
        self._write = write
        self._limits = limits
        self._owner = owner
        self._queues: _Queues[Item, Outcome] = _Queues(limits.batch)
        self._working = 0
        self._arrived = asyncio.Event()
        self._closing = False
        self._writers = [asyncio.create_task(self._run()) for _ in range(limits.writers)]

    @property
    def depth(self) -> int:
        """The number of items waiting for a batch."""
        return self._queues.waiting

    async def submit(self, item: Item, weight: int = 0) -> Outcome:
        """Write an item and return its outcome after the commit.

        Raises Unavailable when the queue is full, and Throttled when the owner uses its share of it. An error of the
        write is raised to the caller. Cancelling the caller does not withdraw the item.
        """
        owner = self._owner(item) if self._owner else None
        self._require_share(owner, weight)
        loop = asyncio.get_running_loop()
        outcome: asyncio.Future[Outcome] = loop.create_future()
        self._queues.add(_Waiting(item, owner, weight, outcome), loop.time())
        self._arrived.set()
        return await outcome

    async def close(self) -> None:
        """Accept no more items, write those that wait, and end the writers."""
        self._closing = True
        self._arrived.set()
        await asyncio.gather(*self._writers)

    def _require_share(self, owner: Hashable, weight: int) -> None:
        free_items, free_weight = self._limits.items - self.depth, self._limits.weight - self._queues.weight
        if self._closing or free_items <= 0 or weight > free_weight:
            raise Unavailable("The write queue is full; try again shortly.", RETRY_AFTER)
        if self._owner is None:
            return
        own_items, own_weight = self._queues.holds(owner)
        if own_items >= free_items or own_weight + weight > free_weight:
            message = f"Too many writes of this organisation wait (limit: {SHARE}); try again shortly."
            raise Throttled(message, RETRY_AFTER, limit=SHARE)

    async def _run(self) -> None:
        while True:
            while not self._worth_a_batch():
                if self._closing and not self._queues.waiting:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            self._working += 1
            await asyncio.sleep(0)  # items submitted in this turn of the event loop share the batch
            if batch := self._queues.take(asyncio.get_running_loop().time()):
                await self._settle(batch)
            self._working -= 1
            if self._closing:
                self._arrived.set()  # wakes a writer that had found too few items for a batch

    def _worth_a_batch(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._queues.worth_a_batch(now, working=bool(self._working))

    async def _settle(self, batch: Sequence[_Waiting[Item, Outcome]]) -> None:
        try:
            outcomes = await self._write([waiting.item for waiting in batch])
        except Exception as error:  # noqa: BLE001 - the error is raised to the callers that wait
            if len(batch) == 1 or isinstance(error, Unavailable):
                self._queues.drop(batch)
                _fail(batch, error)
            else:
                self._queues.failed(batch)
            return
        self._queues.succeeded(batch)
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if not waiting.outcome.done():
                waiting.outcome.set_result(outcome)


def _fail(batch: Sequence[_Waiting[Item, Outcome]], error: Exception) -> None:
    for waiting in batch:
        if not waiting.outcome.done():
            waiting.outcome.set_exception(error)
