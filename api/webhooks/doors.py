"""Which config a delivery belongs to, from a short cache: the front door asks Postgres about a config once a second."""

import asyncio
import time
from dataclasses import dataclass
from uuid import UUID

from storage.database import Database
from storage.facts.queries.webhooks import Door, doors
from storage.secrets.envelope import Envelope

FRESH = 1.0
"""Seconds a lookup holds. A deletion counts at once all the same: the write asks again (storage still_active)."""
MAX_ENTRIES = 10_000

_Key = tuple[str, UUID | None]


@dataclass(frozen=True, slots=True)
class _Lookup:
    found: tuple[Door, ...]
    at: float


class Doors:
    """Configs with their secrets by source and config id."""

    def __init__(self, database: Database, envelope: Envelope) -> None:
        self._database = database
        self._envelope = envelope
        self._lookups: dict[_Key, _Lookup] = {}
        self._asking: dict[_Key, asyncio.Lock] = {}

    async def find(self, source: str, config_id: UUID | None) -> tuple[Door, ...]:
        """The configs a delivery of this source may belong to; unknown ids are remembered as briefly as known ones."""
        key = (source, config_id)
        if (fresh := self._fresh(key)) is not None:
            return fresh
        async with self._asking.setdefault(key, asyncio.Lock()):
            if (fresh := self._fresh(key)) is not None:
                return fresh
            async with self._database.read() as reader:
                found = tuple(await doors(reader, self._envelope, source, config_id))
            if len(self._lookups) >= MAX_ENTRIES:
                self._lookups.clear()
            self._lookups[key] = _Lookup(found, time.monotonic())
        self._asking.pop(key, None)
        return found

    def _fresh(self, key: _Key) -> tuple[Door, ...] | None:
        lookup = self._lookups.get(key)
        return lookup.found if lookup and time.monotonic() - lookup.at < FRESH else None
