"""Shares of the event loop: the requests of one organisation must not keep those of another one waiting.

All requests of a process take turns in one event loop, and a request needs ten turns or more. While one organisation
keeps the loop busy, each turn of another's request would wait for a whole round of the busy one's.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Coroutine, Generator, Hashable
from dataclasses import dataclass, field
from time import perf_counter
from types import coroutine
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from aiohttp import web

from storage.group_commit import LATELY

T = TypeVar("T")

BURST = 0.005
"""Seconds that an owner may run ahead of its share, so that those who need little never wait."""
BESIDE = 0.0005
"""Seconds of the event loop that a request takes beside its steps: to be read and answered, and in a group commit."""


@dataclass(eq=False, slots=True, weakref_slot=True)
class _Share:
    """The share of one owner.

    `used_until` is the time until which it has used its share. `waiting` are its steps that wait, oldest first. While
    `called`, one of them has been told to go on, or a timer will tell it.
    """

    used_until: float = 0.0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    called: bool = False


class LoopShares:
    """Measures the steps of requests, from one wait to the next, and lets those of busy owners wait for their turn.

    An owner who is alone, and was so for the last second, is never stopped. While there are others, n owners whose
    steps wait get 1/(n + 1) of the event loop's time each: there is always a part left for those who need little.
    Nothing is held while a request waits for something else, such as a slow body or the next event of a stream.
    """

    def __init__(self) -> None:
        self._shares: WeakValueDictionary[Hashable, _Share] = WeakValueDictionary()
        """The share of each owner who is present or has a request."""
        self._present: OrderedDict[_Share, float] = OrderedDict()
        """When a request of each owner who is present began, or a step of it ended, the longest ago first."""
        self._busy = 0
        """The number of owners whose steps wait."""

    @coroutine
    def run(self, owner: Hashable, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """Run a request's coroutine to its end, each step when its owner's turn has come."""
        error: BaseException | None = None
        beside = BESIDE
        share = self._shares.get(owner) or self._shares.setdefault(owner, _Share())
        self._keep_present(share, perf_counter())
        while True:
            measured = len(self._present) > 1  # an owner who is alone costs nothing more
            began = perf_counter() if measured else 0.0
            if measured and (share.waiting or self._too_far(share, began)):
                try:
                    yield from self._turn(share)
                except BaseException as raised:  # noqa: BLE001 - the work is cancelled
                    error = raised
                began = perf_counter()
            try:
                awaited = work.send(None) if error is None else work.throw(error)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            finally:
                error = None
                if measured:
                    self._charge(share, began, beside)
                    beside = 0.0
            try:
                yield awaited
            except BaseException as raised:  # noqa: BLE001 - the work handles it
                error = raised

    def _keep_present(self, share: _Share, now: float) -> None:
        """Note that an owner is present, and forget those who had no step for a while, as those of idle streams."""
        present = self._present
        present[share] = now
        if len(present) > 1:
            present.move_to_end(share)
            while present[first := next(iter(present))] < now - LATELY:
                del present[first]

    def _too_far(self, share: _Share, now: float) -> bool:
        """Return whether an owner has run ahead of its share, and of another owner."""
        ahead = share.used_until
        return ahead - now > BURST and any(other.used_until < ahead for other in self._present)

    def _turn(self, share: _Share) -> Generator[Any, None, None]:
        """Wait until the steps before this one are done and the owner's share permits another one."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._busy += not share.waiting
        share.waiting.append(turn)
        self._call_next(share)
        try:
            yield from turn
        except BaseException:
            if turn in share.waiting:
                share.waiting.remove(turn)
                self._busy -= not share.waiting
            else:  # it was called in the same turn of the event loop
                share.called = False
                self._call_next(share)
            raise
        share.called = False

    def _call_next(self, share: _Share) -> None:
        if share.called:
            return
        share.called = True
        now = perf_counter()
        if self._too_far(share, now):
            asyncio.get_running_loop().call_later(share.used_until - now, self._call, share)
        else:
            self._call(share)

    def _call(self, share: _Share) -> None:
        """Let the step go on that waits the longest."""
        share.called = False
        while share.waiting and not share.called:
            turn = share.waiting.popleft()
            self._busy -= not share.waiting
            if not turn.done():
                share.called = True
                turn.set_result(None)

    def _charge(self, share: _Share, began: float, beside: float) -> None:
        """Count a step that began at that time, and let the owner's next one go on."""
        now = perf_counter()
        self._keep_present(share, now)
        if len(self._present) > 1:
            shares = max(1, self._busy) + 1
            share.used_until = max(share.used_until, began) + (now - began + beside) * shares
        if share.waiting:
            self._call_next(share)


LOOP_SHARES: web.AppKey[LoopShares] = web.AppKey("loop_shares", LoopShares)
