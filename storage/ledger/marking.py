"""Raising the high-water marks of ledgers in each process that writes, so that an erased event is missed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import structlog

from storage.ledger.marks import (
    Mark,
    erased_events,
    events_and_entries,
    keep_waiting,
    mark_file,
    raise_mark,
    read_waiting,
    waiting_events,
    waiting_file,
)
from storage.services import Services

log = structlog.get_logger()

INTERVAL = 1.0
"""Seconds between two looks. An event that is erased sooner after its commit may not be missed."""


@asynccontextmanager
async def marks_kept(services: Services) -> AsyncIterator[None]:
    """Raise the marks of organisations that this process writes for, during the block and at its end."""
    raising = asyncio.create_task(_raise_for_ever(services))
    try:
        yield
    finally:
        raising.cancel()
        with suppress(asyncio.CancelledError):
            await raising
        await raise_marks(services)


async def _raise_for_ever(services: Services) -> None:
    while True:
        await asyncio.sleep(INTERVAL)
        await raise_marks(services)


async def raise_marks(services: Services) -> None:
    """Raise the mark of every organisation with new events of this process."""
    database = services.database
    organisations = set(database.audited)
    database.audited.clear()
    try:
        for org_id in organisations:
            await _raise_mark(services, org_id)
    except Exception as error:  # noqa: BLE001 - a mark decides no answer; the next event raises it
        log.warning("ledger.mark_not_raised", error=type(error).__name__)


async def _raise_mark(services: Services, org_id: UUID) -> None:
    file = waiting_file(services.settings, org_id)
    listed = await asyncio.to_thread(read_waiting, file)
    async with services.database.read() as reader:
        seen = await events_and_entries(reader, org_id)
        waiting = await waiting_events(reader, org_id)
        erased = await erased_events(reader, org_id, listed)
    await keep_mark(services, org_id, seen)
    await asyncio.to_thread(keep_waiting, file, listed - erased, waiting)


async def keep_mark(services: Services, org_id: UUID, seen: Mark, *, durable: bool = True) -> None:
    """Raise one mark. Fails open: on a full disk the old mark stays, and the next one is raised later."""
    path = mark_file(services.settings, org_id)
    try:
        await asyncio.to_thread(raise_mark, path, seen, durable=durable)
    except OSError as error:
        log.error("ledger.mark_not_raised", path=str(path), error=str(error))  # noqa: TRY400 - the text says all
