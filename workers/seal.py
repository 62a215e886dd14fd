"""The sealer: audit events into the ledger, checkpoints over it, and their publication outside the database."""

import asyncio
from datetime import timedelta
from uuid import UUID

import structlog

from storage.fairness import organisations_waiting
from storage.ledger.commands import seal, sign_checkpoint
from storage.ledger.published import checkpoint_file, publish, published_size
from storage.ledger.queries import checkpoints_after, unsigned_ledgers
from storage.services import Services
from workers import metrics

log = structlog.get_logger()

BATCH = 4000
PUBLISH_BATCH = 1000
PAUSE = 0.1
"""Seconds between two looks while a checkpoint's time has not come."""


async def seal_and_sign(services: Services) -> None:
    """Work until every event is sealed and covered by a checkpoint that is published."""
    while True:
        sealed = await seal_round(services)
        unsigned = await sign_round(services)
        if not sealed and not unsigned:
            return
        if not sealed:
            await asyncio.sleep(PAUSE)


async def seal_round(services: Services) -> int:
    """One batch for every organisation that has events waiting; the answer is how many were sealed."""
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
    """Sign and publish every ledger whose last checkpoint is old enough; the answer is how many must still wait."""
    interval = timedelta(seconds=services.settings.checkpoint_interval)
    async with services.database.read() as reader:
        ledgers = await unsigned_ledgers(reader)
    due = [org_id for org_id, signed_at in ledgers if not signed_at or services.clock.now() - signed_at >= interval]
    for org_id in due:
        async with services.database.transaction() as tx:
            signed = await sign_checkpoint(tx, org_id, services.signer)
        if signed:
            metrics.CHECKPOINTS.inc()
        await publish_checkpoints(services, org_id)
    return len(ledgers) - len(due)


async def publish_checkpoints(services: Services, org_id: UUID) -> int:
    """Append to the organisation's file what it lacks; the answer is how many checkpoints.

    Fails open: a full or missing disk is logged and tried again with the next checkpoint and by the sweep; the
    checkpoints themselves are safe in Postgres.
    """
    path = checkpoint_file(services.settings.checkpoints, org_id)
    try:
        size = await asyncio.to_thread(published_size, path)
        async with services.database.read() as reader:
            missing = await checkpoints_after(reader, org_id, size, PUBLISH_BATCH)
        return await asyncio.to_thread(publish, path, [stored.signed for stored in missing]) if missing else 0
    except OSError as error:
        metrics.UNPUBLISHED.inc()
        log.error("checkpoints.unpublished", path=str(path), error=str(error))  # noqa: TRY400 - the text says all
        return 0
