"""Find the webhook configs of a delivery; a short cache limits the queries to one per config and second."""

import asyncio
import time
from dataclasses import dataclass
from uuid import UUID

from aiohttp import web

from storage.database import Database
from storage.facts.queries.webhook_configs import ReceiverConfig, receiver_configs
from storage.secrets.envelope import SecretCipher

FRESH = 1.0
"""Seconds that a lookup is cached. A deletion takes effect at once, as the insert checks again (storage/inbox)."""
MAX_ENTRIES = 10_000

_Key = tuple[str, UUID | None]


@dataclass(frozen=True, slots=True)
class _Lookup:
    found: tuple[ReceiverConfig, ...]
    at: float


class ReceiverConfigs:
    """Configs with their secrets by source and config id."""

    def __init__(self, database: Database, envelope: SecretCipher) -> None:
        self._database = database
        self._envelope = envelope
        self._lookups: dict[_Key, _Lookup] = {}
        self._asking: dict[_Key, asyncio.Lock] = {}

    async def find(self, source: str, config_id: UUID | None, since: float | None = None) -> tuple[ReceiverConfig, ...]:
        """Return the configs that a delivery of this source may belong to; none for an unknown id, which is cached too.

        A cached answer must not be older than `since` (of `time.monotonic`); None means FRESH seconds ago.
        """
        key = (source, config_id)
        since = time.monotonic() - FRESH if since is None else since
        if (known := self._fresh(key, since)) is not None:
            return known
        try:
            async with self._asking.setdefault(key, asyncio.Lock()):
                known = self._fresh(key, since)
                return await self._look_up(key) if known is None else known
        finally:
            self._asking.pop(key, None)

    async def _look_up(self, key: _Key) -> tuple[ReceiverConfig, ...]:
        asked = time.monotonic()
        async with self._database.read() as reader:
            found = tuple(await receiver_configs(reader, self._envelope, *key))
        if len(self._lookups) >= MAX_ENTRIES:
            self._lookups.clear()
        self._lookups[key] = _Lookup(found, asked)
        return found

    def _fresh(self, key: _Key, since: float) -> tuple[ReceiverConfig, ...] | None:
        lookup = self._lookups.get(key)
        return lookup.found if lookup and lookup.at >= since else None


CONFIGS: web.AppKey[ReceiverConfigs] = web.AppKey("receiver_configs", ReceiverConfigs)
