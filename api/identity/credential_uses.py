"""Record when credentials were last used: in memory first, written to the database for all once a minute."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import get_args
from uuid import UUID

import structlog
from aiohttp import web

from api.http.calls import SERVICES
from domain.identity.permissions import CredentialKind, Principal
from storage.database import Database
from storage.identity.commands.credential_uses import note_uses

log = structlog.get_logger()

INTERVAL = 60.0

Uses = dict[UUID, datetime]


class CredentialUses:
    """The latest use of each credential since the last write. A killed process loses it, which is acceptable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._uses: dict[CredentialKind, Uses] = {kind: {} for kind in get_args(CredentialKind)}

    def note(self, principal: Principal, at: datetime) -> None:
        """Note that the principal's credential was used."""
        if principal.credential_id is not None and principal.credential_kind is not None:
            self._uses[principal.credential_kind][principal.credential_id] = at

    async def flush(self) -> None:
        """Write the noted uses; if that fails, keep them for the next time."""
        for kind in self._uses:
            await self._flush(kind)

    async def _flush(self, kind: CredentialKind) -> None:
        uses, self._uses[kind] = self._uses[kind], {}
        if not uses:
            return
        try:
            async with self._database.transaction() as tx:
                await note_uses(tx, kind, uses)
        except Exception as error:  # noqa: BLE001 - whatever it is, requests must not fail
            self._uses[kind] = {**uses, **self._uses[kind]}
            log.warning("credential_uses.unwritten", kind=kind, error=type(error).__name__)

    @classmethod
    @asynccontextmanager
    async def opened(cls, database: Database) -> "AsyncIterator[CredentialUses]":
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


CREDENTIAL_USES: web.AppKey[CredentialUses] = web.AppKey("credential_uses", CredentialUses)


async def credential_uses(app: web.Application) -> AsyncIterator[None]:
    """Provide `CREDENTIAL_USES` while the application serves."""
    async with CredentialUses.opened(app[SERVICES].database) as uses:
        app[CREDENTIAL_USES] = uses
        yield
