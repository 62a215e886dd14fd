"""The sealer: seals audit events into the ledger, signs checkpoints, and publishes them outside the database."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import structlog

from domain.audit.ledger import SignedCheckpoint
from domain.errors import Invalid
from storage.fairness import organisations_waiting
from storage.ledger.commands import seal, sign_checkpoint
from storage.ledger.published import checkpoint_file, last_published, publish
from storage.ledger.queries import checkpoints_after, newest_checkpoints, unsigned_ledgers
from storage.services import Services
from workers import metrics

log = structlog.get_logger()

BATCH = 4000
PUBLISH_BATCH = 1000
PAUSE = 0.1
"""Seconds between two rounds while a checkpoint must wait for its interval."""


async def seal_and_sign(services: Services) -> None:
    """Run until every event is sealed and covered by a published checkpoint."""
    while True:
        sealed = await seal_round(services)
        unsigned = await sign_round(services)
        if not sealed and not unsigned:
            return
        if not sealed:
            await asyncio.sleep(PAUSE)


async def seal_round(services: Services) -> int:
    """Seal one batch for every organisation with waiting events; return how many were sealed."""
    async with services.database.read() as reader:
        organisations = await organisations_waiting(reader, "unsealed")
    sealed = 0
    for org_id in organisations:
        async with services.database.transaction() as tx:
            fresh = await seal(tx, org_id, BATCH)
        metrics.SEALED.inc(fresh)
        sealed += fresh
    return sealed


async def sign_round(services: Services) -> int:
    """Sign and publish every ledger whose last checkpoint is old enough; return how many must still wait."""
    interval = timedelta(seconds=services.settings.checkpoint_interval)
    async with services.database.read() as reader:
        ledgers = await unsigned_ledgers(reader)
    now = services.clock.now()
    # A checkpoint from the future, signed before the clock was set back, is due: nobody waits until the clock is there.
    due = [org_id for org_id, signed_at in ledgers if not signed_at or not timedelta() <= now - signed_at < interval]
    for org_id in due:
        async with services.database.transaction() as tx:
            signed = await sign_checkpoint(tx, org_id, services.signer)
        if signed:
            metrics.CHECKPOINTS.inc()
        await publish_checkpoints(services, org_id)
    return len(ledgers) - len(due)


async def publish_checkpoints(services: Services, org_id: UUID) -> int:
    """Append the next missing checkpoints to the organisation's file; return how many.

    Fails open: a failure, such as a full disk or a file that somebody changed, is logged, and the next checkpoint or
    the sweep tries again; the checkpoints themselves are safe in PostgreSQL.
    """
    path = checkpoint_file(services.settings.checkpoints, org_id)
    try:
        missing = await _missing(services, org_id, await asyncio.to_thread(last_published, path))
        return await asyncio.to_thread(publish, path, missing) if missing else 0
    except (OSError, Invalid) as error:
        metrics.UNPUBLISHED.inc()
        log.error("checkpoints.unpublished", path=str(path), error=str(error))  # noqa: TRY400 - the text says all
        return 0


async def _missing(services: Services, org_id: UUID, last: SignedCheckpoint | None) -> list[SignedCheckpoint]:
    """Return the checkpoints that follow the last published one. Raises Invalid when that is not of this ledger."""
    before = last.checkpoint.size - 1 if last else 0
    async with services.database.read() as reader:
        stored = [one.signed for one in await checkpoints_after(reader, org_id, before, PUBLISH_BATCH)]
    if last is None:
        return stored
    if stored[:1] != [last]:
        raise Invalid("The last checkpoint in the file is not one of this ledger.")
    return stored[1:]


async def publish_missing(services: Services) -> None:
    """Publish every checkpoint that its file lacks: after a full disk, or a worker that died between the two."""
    async with services.database.read() as reader:
        newest = await newest_checkpoints(reader)
    for signed in newest:
        if not await _is_published(services, signed):
            while await publish_checkpoints(services, signed.checkpoint.org_id):
                pass


async def _is_published(services: Services, newest: SignedCheckpoint) -> bool:
    """Return whether the ledger's file ends with this checkpoint; what is wrong with a file, publishing reports."""
    path = checkpoint_file(services.settings.checkpoints, newest.checkpoint.org_id)
    with suppress(OSError, Invalid):
        return await asyncio.to_thread(last_published, path) == newest
    return False
