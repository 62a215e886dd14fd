"""The drain: from accepted deliveries to facts, a batch at a time."""

import asyncio
import random
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from uuid import UUID

import structlog

from domain.errors import TrailgateError
from domain.retries import DRAIN, ErrorClass, next_delay
from domain.tenant import Tenant
from integrations import SENDERS
from integrations.contract import BadDelivery, Delivery
from storage.database import TRANSIENT
from storage.facts.queries.webhook_configs import ConfigTarget, targets
from storage.inbox.commands import Claimed, Done, LostLease, claim, finish, give_back, retry_later
from storage.inbox.queries import StoredDelivery, load
from storage.services import Services
from workers import metrics
from workers.facts.deliveries import ParsedDelivery, record_deliveries

log = structlog.get_logger()

CONCURRENT_BATCHES = 2
"""Batches in work at once: while Postgres writes one, the next is parsed."""

MAX_ERROR = 8000

MAX_TRUSTED_CLAIMS, MAX_CLAIMS = 3, 20
"""A delivery that kills its worker is claimed again and again: alone after the first, not at all after the second."""


async def drain(services: Services) -> None:
    """Work until the inbox has nothing due. May be lost, repeated and run beside itself without harm."""
    await asyncio.gather(*(_drain_all(services) for _ in range(CONCURRENT_BATCHES)))


async def _drain_all(services: Services) -> None:
    while await drain_batch(services):
        pass


async def drain_batch(services: Services) -> int:
    """Claim one batch and settle every delivery in it; the answer is how many were claimed."""
    settings, database = services.settings, services.database
    claim_id = services.ids.new()
    async with database.transaction() as tx:
        claimed = await claim(tx, claim_id, settings.drain_batch, timedelta(seconds=settings.drain_lease))
    if not claimed:
        return 0
    async with database.read() as reader:
        deliveries = await load(reader, [c.id for c in claimed])
        configs = await targets(reader, list({d.config_id for d in deliveries}))
    bodiless = {c.id for c in claimed} - {d.id for d in deliveries}
    worn_out = {c.id for c in claimed if c.attempts > MAX_CLAIMS} - bodiless
    await _dead_letter(services, claim_id, bodiless, "Its body is not kept any more.")
    await _dead_letter(services, claim_id, worn_out, f"It was begun {MAX_CLAIMS} times and never finished.")
    batch = _Batch(services, claim_id, configs, {c.id: c for c in claimed})
    try:
        with metrics.DRAIN_SECONDS.time():
            for group in batch.groups(d for d in deliveries if d.id not in worn_out):
                await batch.settle(group)
    except asyncio.CancelledError:
        async with database.transaction() as tx:
            await give_back(tx, claim_id)  # the worker stops: another one need not wait for the lease to run out
        raise
    return len(claimed)


async def _dead_letter(services: Services, claim_id: UUID, ids: set[UUID], why: str) -> None:
    """What can never be settled becomes a dead letter instead of being claimed for ever."""
    if not ids:
        return
    try:
        async with services.database.transaction() as tx:
            await finish(tx, claim_id, [Done(one, None, why, failed=True) for one in ids])
        metrics.DRAINED.labels("failed").inc(len(ids))
    except LostLease:
        _lost(len(ids))


def _lost(deliveries: int) -> None:
    metrics.DRAINED.labels("lease_lost").inc(deliveries)
    log.warning("drain.lease_lost", deliveries=deliveries)


@dataclass(frozen=True, slots=True)
class _Batch:
    """The deliveries under one claim."""

    services: Services
    claim_id: UUID
    configs: dict[UUID, ConfigTarget]
    claims: dict[UUID, Claimed]

    def groups(self, deliveries: Iterable[StoredDelivery]) -> Iterator[list[StoredDelivery]]:
        """By organisation, oldest first; what was begun often and not finished is a suspect, and worked on alone."""
        ordered = sorted(deliveries, key=lambda d: d.org_id)
        for _, group in groupby(ordered, key=lambda d: d.org_id):
            members = list(group)
            trusted = [d for d in members if self.claims[d.id].attempts <= MAX_TRUSTED_CLAIMS]
            if trusted:
                yield trusted
            yield from ([d] for d in members if self.claims[d.id].attempts > MAX_TRUSTED_CLAIMS)

    async def settle(self, deliveries: Sequence[StoredDelivery]) -> None:
        """One organisation's, in one transaction; if that fails, each alone: a poisonous one fails by itself."""
        try:
            await self._work(deliveries)
        except LostLease:
            _lost(len(deliveries))
        except Exception as error:  # noqa: BLE001 - a parser or rule may break in any way; only its own delivery suffers
            if len(deliveries) > 1:
                for delivery in deliveries:
                    await self.settle([delivery])
            else:
                await self._give_up_or_retry(deliveries[0], error)

    async def _work(self, deliveries: Sequence[StoredDelivery]) -> None:
        parsed, done = self._parse(deliveries)
        target = self.configs[deliveries[0].config_id]
        tenant = Tenant(target.org_id, target.org_slug)
        async with self.services.database.transaction() as tx:
            done += await record_deliveries(tx, tenant, parsed)
            await finish(tx, self.claim_id, done)
        failed = sum(one.failed for one in done)
        metrics.DRAINED.labels("processed").inc(len(done) - failed)
        metrics.DRAINED.labels("failed").inc(failed)
        log.info("drain.settled", org=tenant.org_slug, processed=len(done) - failed, failed=failed)

    def _parse(self, deliveries: Sequence[StoredDelivery]) -> tuple[list[ParsedDelivery], list[Done]]:
        """The deliveries that can be read, and the outcome of the others."""
        parsed: list[ParsedDelivery] = []
        refused: list[Done] = []
        region = self.services.settings.region
        for delivery in deliveries:
            try:
                found = SENDERS[delivery.source].parse(Delivery(delivery.event, delivery.headers, delivery.body))
            except BadDelivery as error:
                refused.append(Done(delivery.id, None, error.message, failed=True))
            else:
                parsed.append(ParsedDelivery(delivery, found, self.configs[delivery.config_id], region))
        return parsed, refused

    async def _give_up_or_retry(self, delivery: StoredDelivery, error: Exception) -> None:
        """A dead letter, unless the failure is the database's and may pass.

        Fails closed: when even this cannot be written, the lease runs out and the delivery is due again.
        """
        attempt = self.claims[delivery.id].attempts
        kind = ErrorClass.TRANSIENT if isinstance(error, TRANSIENT) else ErrorClass.POISON
        delay = next_delay(DRAIN, attempt, kind, None, random.random())  # noqa: S311 - jitter, not a secret
        log.warning("drain.failed", delivery=str(delivery.id), attempt=attempt, retry=delay is not None, exc_info=error)
        async with self.services.database.transaction() as tx:
            if delay is not None:
                await retry_later(tx, self.claim_id, {delivery.id: tx.now + delay})
            else:
                await finish(tx, self.claim_id, [_dead(delivery, error)])
        metrics.DRAINED.labels("failed" if delay is None else "retried").inc()


def _dead(delivery: StoredDelivery, error: Exception) -> Done:
    told = (
        error.message if isinstance(error, TrailgateError) else "It could not be processed; an operator can replay it."
    )
    trace = "".join(traceback.format_exception(error))[-MAX_ERROR:].replace("\x00", "")
    return Done(delivery.id, None, told, failed=True, error=trace)
