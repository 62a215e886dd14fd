"""The sealer: seals audit events into the ledger, signs checkpoints, and publishes them outside the database."""

import asyncio
from datetime import timedelta
from uuid import UUID

import structlog

from storage.fairness import organisations_waiting
from storage.ledger.commands import seal, sign_checkpoint
from storage.ledger.published import checkpoint_file, publish, published_size
from storage.ledger.queries import checkpoint_sizes, checkpoints_after, unsigned_ledgers
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
    due = [org_id for org_id, signed_at in ledgers if not signed_at or services.clock.now() - signed_at >= interval]
    for org_id in due:
        async with services.database.transaction() as tx:
            signed = await sign_checkpoint(tx, org_id, services.signer)
        if signed:
            metrics.CHECKPOINTS.inc()
        await publish_checkpoints(services, org_id)
    return len(ledgers) - len(due)


async def publish_checkpoints(services: Services, org_id: UUID) -> int:
    """Append missing checkpoints to the organisation's file; return how many.

    Fails open: a failure, such as a full disk, is logged, and the next checkpoint or the sweep tries again; the
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


async def publish_missing(services: Services) -> None:
    """Publish every checkpoint that its file lacks: after a full disk, or a worker that died between the two."""
    async with services.database.read() as reader:
        sizes = await checkpoint_sizes(reader)
    for org_id, size in sizes.items():
        path = checkpoint_file(services.settings.checkpoints, org_id)
        if await asyncio.to_thread(published_size, path) < size:
            while await publish_checkpoints(services, org_id) == PUBLISH_BATCH:
                pass
