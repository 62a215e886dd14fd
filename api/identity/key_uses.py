"""Record when keys were last used: in memory first, written to the database for all keys once a minute."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from uuid import UUID

import structlog
from aiohttp import web

from api.http.calls import SERVICES
from storage.database import Database
from storage.identity.commands.api_keys import note_key_uses

log = structlog.get_logger()

INTERVAL = 60.0


class KeyUses:
    """The latest use of each key since the last write. A killed process loses it, which is acceptable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._uses: dict[UUID, datetime] = {}

    def note(self, key_id: UUID, at: datetime) -> None:
        """Note that a key was used."""
        self._uses[key_id] = at

    async def flush(self) -> None:
        """Write the noted uses; if that fails, keep them for the next time."""
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            async with self._database.transaction() as tx:
                await note_key_uses(tx, uses)
        except Exception as error:  # noqa: BLE001 - whatever it is, requests must not fail
            self._uses = {**uses, **self._uses}
            log.warning("key_uses.unwritten", error=type(error).__name__)

    @classmethod
    @asynccontextmanager
    async def opened(cls, database: Database) -> "AsyncIterator[KeyUses]":
        """Run a task that writes every minute, and write once more at the end."""
        uses = cls(database)
        task = asyncio.create_task(uses._run())
        try:
            yield uses
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await uses.flush()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL)
            await self.flush()


KEY_USES: web.AppKey[KeyUses] = web.AppKey("key_uses", KeyUses)


async def key_uses(app: web.Application) -> AsyncIterator[None]:
    """Provide `KEY_USES` while the application serves."""
    async with KeyUses.opened(app[SERVICES].database) as uses:
        app[KEY_USES] = uses
        yield
