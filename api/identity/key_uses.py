"""When keys were last used: noted in memory, written once a minute for all, so that no request writes for it."""

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
    """The newest use of each key since the last write. What a killed process noted is lost: it is a convenience."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._uses: dict[UUID, datetime] = {}

    def note(self, key_id: UUID, at: datetime) -> None:
        """A key was used."""
        self._uses[key_id] = at

    async def flush(self) -> None:
        """Write what was noted. Fails open: uses that cannot be written now are kept for the next time."""
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            async with self._database.transaction() as tx:
                await note_key_uses(tx, uses)
        except Exception as error:  # noqa: BLE001 - whatever it is, requests go on
            self._uses = {**uses, **self._uses}
            log.warning("key_uses.unwritten", error=type(error).__name__)

    @classmethod
    @asynccontextmanager
    async def opened(cls, database: Database) -> "AsyncIterator[KeyUses]":
        """With a task that writes every minute, and once more at the end."""
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
    """Noted while the application serves."""
    async with KeyUses.opened(app[SERVICES].database) as uses:
        app[KEY_USES] = uses
        yield
