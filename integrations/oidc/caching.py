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
V = TypeVar("V")
Clock = Callable[[], float]


@dataclass(slots=True)
class _Entry(Generic[T]):
    task: asyncio.Task[T]
    ends: float = float("inf")
    """When it is fetched again; never before the task has ended."""


@dataclass(frozen=True, slots=True)
class _Renewal(Generic[T]):
    began: float
    entry: _Entry[T]


class Cache(Generic[T]):
    """Keeps what `fetch` returns for a key for `lifetime` seconds."""

    def __init__(self, fetch: Callable[[str], Awaitable[T]], lifetime: float, clock: Clock = monotonic) -> None:
        self._fetch = fetch
        self._lifetime = lifetime
        self._clock = clock
        self._entries: dict[str, _Entry[T]] = {}
        self._renewals: dict[str, _Renewal[T]] = {}

    async def get(self, key: str) -> T:
        """Return the value of a key; fetch it if it is missing or too old. Raises what `fetch` raises."""
        entry = self._entries.get(key)
        if entry is None or self._clock() >= entry.ends:
            entry = self._start(key)
            _put(self._entries, key, entry)
        return await asyncio.shield(entry.task)  # whoever leaves does not end the fetch for the others

    async def renew(self, key: str, pause: float) -> T:
        """Fetch a value again, unless that goes on, or began less than `pause` seconds ago.

        A failure keeps the old value.
        """
        last = self._renewals.get(key)
        if last is None or (last.entry.task.done() and self._clock() >= last.began + pause):
            last = _Renewal(self._clock(), self._start(key))
            last.entry.task.add_done_callback(lambda task: self._replace(key, last.entry, task))
            _put(self._renewals, key, last)
        elif last.entry.task.done():
            return await self.get(key)
        return await asyncio.shield(last.entry.task)

    def _replace(self, key: str, entry: _Entry[T], task: asyncio.Task[T]) -> None:
        if not task.cancelled() and task.exception() is None:
            _put(self._entries, key, entry)

    def _start(self, key: str) -> _Entry[T]:
        async def fetch() -> T:
            return await self._fetch(key)

        entry = _Entry(asyncio.create_task(fetch()))
        entry.task.add_done_callback(lambda task: self._end(entry, task))
        return entry

    def _end(self, entry: _Entry[T], task: asyncio.Task[T]) -> None:
        failed = task.cancelled() or task.exception() is not None
        entry.ends = self._clock() + (FAILED_FOR if failed else self._lifetime)


def _put(entries: dict[str, V], key: str, value: V) -> None:
    entries.pop(key, None)
    if len(entries) >= SIZE:
        del entries[next(iter(entries))]
    entries[key] = value
