"""Raise the high-water marks of ledgers, so that an event that is erased before a worker sees it is missed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import structlog
from aiohttp import web

from api.http.calls import SERVICES
from storage.ledger.marks import events_and_entries, mark_file, raise_mark
from storage.services import Services

log = structlog.get_logger()

INTERVAL = 1.0
"""Seconds between two looks. An event that is erased sooner after its commit is not missed."""


async def marks_raised(app: web.Application) -> AsyncIterator[None]:
    """Raise the marks of organisations that this process writes for, while the application serves."""
    services = app[SERVICES]
    raising = asyncio.create_task(_raise_for_ever(services))
    yield
    raising.cancel()
    with suppress(asyncio.CancelledError):
        await raising
    await raise_marks(services)


async def _raise_for_ever(services: Services) -> None:
    while True:
        await asyncio.sleep(INTERVAL)
        await raise_marks(services)


async def raise_marks(services: Services) -> None:
    """Raise the mark of every organisation with new events. Fails open: what fails is tried again by the next event."""
    database = services.database
    organisations = set(database.audited)
    database.audited.clear()
    try:
        for org_id in organisations:
            async with database.read() as reader:
                seen = await events_and_entries(reader, org_id)
            await asyncio.to_thread(raise_mark, mark_file(services.settings, org_id), seen)
    except Exception as error:  # noqa: BLE001 - a mark decides no answer; the next event raises it
        log.warning("ledger.mark_not_raised", error=type(error).__name__)
