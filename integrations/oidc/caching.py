"""What a process remembers of identity providers: bounded, and fetched once for all who wait."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar

SIZE = 1000
"""Entries; the oldest one is dropped for the next."""

FAILED_FOR = 3.0
"""Seconds in which a failure is told again instead of asking again."""

T = TypeVar("T")
Clock = Callable[[], float]


@dataclass(slots=True)
class _Entry(Generic[T]):
    task: asyncio.Task[T]
    ends: float = float("inf")
    """When it is fetched again; never before the task has ended."""


class Cache(Generic[T]):
    """Keeps what `fetch` returns for a key for `lifetime` seconds."""

    def __init__(self, fetch: Callable[[str], Awaitable[T]], lifetime: float, clock: Clock = monotonic) -> None:
        self._fetch = fetch
        self._lifetime = lifetime
        self._clock = clock
        self._entries: dict[str, _Entry[T]] = {}
        self._renewed: dict[str, float] = {}

    async def get(self, key: str) -> T:
        """Return the value of a key; fetch it if it is missing or too old. Raises what `fetch` raises."""
        entry = self._entries.get(key)
        if entry is None or self._clock() >= entry.ends:
            entry = self._start(key)
            _put(self._entries, key, entry)
        return await asyncio.shield(entry.task)  # whoever leaves does not end the fetch for the others

    async def renew(self, key: str, pause: float) -> T:
        """Fetch a value again, unless this was done less than `pause` seconds ago; a failure keeps the old value."""
        if self._clock() < self._renewed.get(key, float("-inf")) + pause:
            return await self.get(key)
        _put(self._renewed, key, self._clock())
        old = self._entries.get(key)
        entry = self._start(key)
        _put(self._entries, key, entry)
        try:
            return await asyncio.shield(entry.task)
        except Exception:
            if old is not None and self._entries.get(key) is entry:
                self._entries[key] = old
            raise

    def _start(self, key: str) -> _Entry[T]:
        async def fetch() -> T:
            return await self._fetch(key)

        entry = _Entry(asyncio.create_task(fetch()))
        entry.task.add_done_callback(lambda task: self._end(entry, task))
        return entry

    def _end(self, entry: _Entry[T], task: asyncio.Task[T]) -> None:
        failed = task.cancelled() or task.exception() is not None
        entry.ends = self._clock() + (FAILED_FOR if failed else self._lifetime)


def _put(entries: dict[str, T], key: str, value: T) -> None:
    entries.pop(key, None)
    if len(entries) >= SIZE:
        del entries[next(iter(entries))]
    entries[key] = value
