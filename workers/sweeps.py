"""Sweeps: periodic work, also for wake-ups that were lost. Repeating a sweep is harmless."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial

import structlog

from storage import retention
from storage.blobs.sweep import shard_of, sweep_blobs
from storage.counters import fold
from storage.database import Database, Transaction
from storage.facts.commands.reconciliations import forget_requests
from storage.fairness import organisations_waiting
from storage.idempotency.sweep import forget_answers
from storage.identity.commands.used_tokens import forget_tokens
from storage.ledger.queries import unsigned_ledgers
from storage.outbox.claims import anything_due
from storage.partitions import ensure_partitions
from storage.schedule.commands import done, due
from storage.schedule.sweeps import EVERY_ROUND, INTERVALS, Sweep
from storage.schedule.wakeups import Job, begin
from storage.services import Services
from workers.environments.checking import check_environments
from workers.facts.reconciliation import reconcile
from workers.gates.approvals import check_approvals
from workers.host import JOB_TIMEOUT, Work
from workers.metrics import SWEEP_FAILURES
from workers.seal import publish_missing

log = structlog.get_logger()

FOLD_BATCH = 5000
FORGET_BATCH = 1000
REQUESTS_KEPT = timedelta(days=7)


async def wake_again(services: Services) -> None:
    """Wake workers for due work: after a lost wake-up, a wiped Redis or an expired lease."""
    async with services.database.read() as reader:
        inbox = await organisations_waiting(reader, "inbox", "due_at <= now()")
        outbox = await anything_due(reader, services.clock.now())
        unsealed = await organisations_waiting(reader, "unsealed")
        unsigned = await unsigned_ledgers(reader)
    if inbox:
        await _wake_anew(services, Job.DRAIN)
    if outbox:
        await _wake_anew(services, Job.RELAY)
    if unsealed or unsigned:
        await _wake_anew(services, Job.SEAL)


async def _wake_anew(services: Services, job: Job) -> None:
    """Start a new generation, then wake the job: the job of the current one may have died with its worker."""
    await begin(services.redis, job)
    services.wakeups.wake(job)


async def fold_counters(services: Services) -> None:
    """Fold counter deltas until less than a batch is left."""
    while True:
        async with services.database.transaction() as tx:
            if await fold(tx, FOLD_BATCH) < FOLD_BATCH:
                return


async def prepare_partitions(services: Services) -> None:
    """Create the partitions of the coming months."""
    async with services.database.transaction() as tx:
        await ensure_partitions(tx)


async def collect_blobs(services: Services) -> None:
    """Remove stale staging files, and the objects without a row in one shard."""
    shards = [shard_of(services.clock.now())]
    swept = [swept async for swept in sweep_blobs(services.database, services.blobs, shards)][-1]
    if swept.removed or swept.staged:
        log.info("blobs.swept", removed=swept.removed, staged=swept.staged)


async def remove_old(services: Services) -> None:
    """Remove rows older than their retention time, and redelivery requests and tokens that are no longer needed."""
    settings, database = services.settings, services.database
    attempts_age = timedelta(days=settings.attempts_retention_days)
    await retention.remove_older(database, retention.BODIES, timedelta(days=settings.inbox_retention_days))
    await retention.remove_older(database, retention.ATTEMPTS, attempts_age)
    await retention.remove_older(database, retention.MESSAGES, attempts_age)
    await retention.remove_notifications(database, timedelta(days=settings.notifications_retention_days))
    await _forget(database, partial(forget_requests, age=REQUESTS_KEPT, limit=FORGET_BATCH))
    await _forget(database, partial(forget_tokens, limit=FORGET_BATCH))


async def _forget(database: Database, forget: Callable[[Transaction], Awaitable[int]]) -> None:
    """Delete rows, one batch per transaction, until less than a batch is left."""
    while True:
        async with database.transaction() as tx:
            if await forget(tx) < FORGET_BATCH:
                return


SWEEPS: Mapping[Sweep, Work] = {
    Sweep.WAKE_UPS: wake_again,
    Sweep.ENVIRONMENTS: check_environments,
    Sweep.APPROVALS: check_approvals,
    Sweep.COUNTERS: fold_counters,
    Sweep.PARTITIONS: prepare_partitions,
    Sweep.BLOBS: collect_blobs,
    Sweep.ANSWERS: forget_answers,
    Sweep.RETENTION: remove_old,
    Sweep.PUBLICATION: publish_missing,
    Sweep.RECONCILIATION: reconcile,
}
"""The sweeps in the order in which they run: those that call other systems come last."""


async def sweep(services: Services) -> None:
    """Run every sweep that is due; one that fails does not affect the others and is tried again."""
    for name in SWEEPS:
        try:
            await run_sweep(services, name)
        except Exception:
            SWEEP_FAILURES.labels(name.value).inc()
            log.exception("sweep.failed", sweep=name.value)


async def run_sweep(services: Services, name: Sweep) -> None:
    """Run a sweep if it is due, and record its success.

    One worker has the sweep for as long as a job may take; if that worker dies, another one runs it afterwards.
    """
    interval = INTERVALS[name]
    if interval != EVERY_ROUND:
        async with services.database.transaction() as tx:
            if not await due(tx, name.value, JOB_TIMEOUT):
                return
    await SWEEPS[name](services)
    async with services.database.transaction() as tx:
        await done(tx, name.value, interval)
