"""Sweeps: what must happen even when every ring was lost. Each is a no-op when repeated."""

import structlog

from storage.blobs.sweep import shard_of, sweep_blobs
from storage.counters import fold
from storage.fairness import organisations_waiting
from storage.idempotency.sweep import forget_answers
from storage.ledger.queries import unsigned_ledgers
from storage.partitions import ensure_partitions
from storage.schedule.commands import due
from storage.schedule.doorbell import Job, begin
from storage.services import Services

log = structlog.get_logger()

FOLD_BATCH = 5000
DAY = 86_400
BLOBS_EVERY = 30
"""Seconds between two looks at the blobs: twice in each minute, which has a shard of its own."""


async def ring_again(services: Services) -> None:
    """Ring for work that is due: after a lost nudge, a wiped Redis, a lease that ran out."""
    async with services.database.read() as reader:
        inbox = await organisations_waiting(reader, "inbox", "due_at <= now()")
        unsealed = await organisations_waiting(reader, "unsealed")
        unsigned = await unsigned_ledgers(reader)
    if inbox:
        await _ring_anew(services, Job.DRAIN)
    if unsealed or unsigned:
        await _ring_anew(services, Job.SEAL)


async def _ring_anew(services: Services, job: Job) -> None:
    """A worker that died with the bell in its hand must not silence it: a new generation is opened first."""
    await begin(services.redis, job)
    services.doorbell.ring(job)


async def fold_counters(services: Services) -> None:
    """Fold the totals' deltas until few are left."""
    while True:
        async with services.database.transaction() as tx:
            if await fold(tx, FOLD_BATCH) < FOLD_BATCH:
                return


async def prepare_partitions(services: Services) -> None:
    """Once a day and at the first sweep: the months to come."""
    async with services.database.transaction() as tx:
        if await due(tx, "partitions", DAY):
            await ensure_partitions(tx)


async def collect_blobs(services: Services) -> None:
    """Stale staging files, and one shard of the objects that nobody keeps."""
    async with services.database.transaction() as tx:
        if not await due(tx, "blobs", BLOBS_EVERY):
            return
    shards = [shard_of(services.clock.now())]
    swept = [swept async for swept in sweep_blobs(services.database, services.blobs, shards)][-1]
    if swept.removed or swept.staged:
        log.info("blobs.swept", removed=swept.removed, staged=swept.staged)


SWEEPS = (ring_again, fold_counters, prepare_partitions, collect_blobs, forget_answers)


async def sweep(services: Services) -> None:
    """Run every sweep; one that fails leaves the others alone and is tried again in the next round."""
    for one in SWEEPS:
        try:
            await one(services)
        except Exception:
            log.exception("sweep.failed", sweep=one.__name__)
