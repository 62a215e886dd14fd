"""Slots: a limited number of places that owners, the organisations, take in turn."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from domain.errors import Throttled

RETRY_AFTER = 2
"""Seconds after which a refused caller should try again."""


class Slots:
    """Places for those who want a thread, a process or a connection.

    An owner leaves `leaves` places free for each that it holds: of twelve places and one left for each it may hold six
    while it is alone, and four while there is another one who holds as many. So another owner usually finds a free
    place at once. Owners who wait are served in turn, whatever the number of their requests. `name` is the limit's name
    for callers.
    """

    def __init__(self, places: int, name: str, leaves: int = 1) -> None:
        self._free = places
        self._name = name
        self._leaves = leaves
        self._held: Counter[Hashable] = Counter()
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()
        """The owners who wait; the first is next."""

    @asynccontextmanager
    async def taken(self, owner: Hashable, patience: float | None = None) -> AsyncIterator[None]:
        """Hold a place during the block. Raises Throttled when none was free for `patience` seconds."""
        if owner in self._waiting or not self._may_take(owner):
            await self._wait(owner, patience)
        else:
            self._take(owner)
        try:
            yield
        finally:
            self._give_back(owner)

    def _may_take(self, owner: Hashable) -> bool:
        return self._held[owner] * self._leaves < self._free

    def _take(self, owner: Hashable) -> None:
        self._free -= 1
        self._held[owner] += 1

    def _give_back(self, owner: Hashable) -> None:
        self._free += 1
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
        self._serve()

    async def _wait(self, owner: Hashable, patience: float | None) -> None:
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(place)
        try:
            async with asyncio.timeout(patience):
                await place
        except BaseException as error:
            self._give_up(owner, place)
            if isinstance(error, TimeoutError):
                message = f"Too many requests of this organisation wait (limit: {self._name}); try again shortly."
                raise Throttled(message, RETRY_AFTER, limit=self._name) from error
            raise

    def _give_up(self, owner: Hashable, place: asyncio.Future[None]) -> None:
        if place.done() and not place.cancelled():  # it was given in the same turn of the event loop
            self._give_back(owner)
            return
        places = self._waiting[owner]
        places.remove(place)
        if not places:
            del self._waiting[owner]

    def _serve(self) -> None:
        """Give free places to those who wait, one to each owner in turn."""
        for owner in list(self._waiting):
            place = next((place for place in self._waiting[owner] if not place.done()), None)
            if place is None or not self._may_take(owner):
                continue
            self._take(owner)
            place.set_result(None)
            places = self._waiting.pop(owner)
            places.remove(place)
            if places:
                self._waiting[owner] = places  # behind the others
