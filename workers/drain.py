"""The drain: turns accepted deliveries into facts, one batch at a time."""

import asyncio
import random
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from uuid import UUID

import structlog

from domain.errors import Throttled, TrailgateError
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
"""Batches processed concurrently: while Postgres writes one, the next is parsed."""

MAX_ERROR = 8000
MAX_LOGGED = 20
"""The most receipts that one line of the log names."""

MAX_TRUSTED_CLAIMS, MAX_CLAIMS = 3, 20
"""A delivery that kills its worker is claimed again and again: processed alone after the first number of claims, and
dead-lettered after the second."""


NOT_AUTHENTIC = "This installation did not accept this delivery as it is stored now: somebody changed the database."


async def drain(services: Services) -> None:
    """Process deliveries until none is due. A run may be lost, repeated or run concurrently without harm."""
    await asyncio.gather(*(_drain_all(services) for _ in range(CONCURRENT_BATCHES)))


async def _drain_all(services: Services) -> None:
    while await drain_batch(services):
        pass


async def drain_batch(services: Services) -> int:
    """Claim one batch, settle every delivery in it, and return how many were claimed."""
    settings, database = services.settings, services.database
    claim_id = services.ids.new()
    async with database.transaction() as tx:
        claimed = await claim(tx, claim_id, settings.drain_batch, timedelta(seconds=settings.drain_lease))
    if not claimed:
        return 0
    async with database.read() as reader:
        deliveries = await load(reader, database.authenticator, [c.id for c in claimed])
        configs = await targets(reader, list({d.config_id for d in deliveries}))
    bodiless = {c.id for c in claimed} - {d.id for d in deliveries}
    forged = {d.id for d in deliveries if not d.authentic}
    worn_out = {c.id for c in claimed if c.attempts > MAX_CLAIMS} - bodiless - forged
    await _dead_letter(services, claim_id, bodiless, "The body of the delivery is no longer stored.")
    await _dead_letter(services, claim_id, forged, NOT_AUTHENTIC)
    await _dead_letter(services, claim_id, worn_out, f"Processing began {MAX_CLAIMS} times and never finished.")
    batch = _Batch(services, claim_id, configs, {c.id: c for c in claimed})
    try:
        with metrics.DRAIN_SECONDS.time():
            for group in batch.groups(d for d in deliveries if d.id not in forged | worn_out):
                await batch.settle(group)
    except asyncio.CancelledError:
        async with database.transaction() as tx:
            await give_back(tx, claim_id)  # this worker stops; another one need not wait for the lease to expire
        raise
    return len(claimed)


async def _dead_letter(services: Services, claim_id: UUID, ids: set[UUID], why: str) -> None:
    """Dead-letter deliveries that can never be processed, so that they are not claimed for ever."""
    if not ids:
        return
    try:
        async with services.database.transaction() as tx:
            await finish(tx, claim_id, [Done(one, None, why, failed=True) for one in ids])
        metrics.DRAINED.labels("failed").inc(len(ids))
        log.error("drain.dead_letters", deliveries=len(ids), receipts=sorted(map(str, ids))[:MAX_LOGGED], message=why)
    except LostLease:
        _lost(len(ids))


def _lost(deliveries: int) -> None:
    metrics.DRAINED.labels("lease_lost").inc(deliveries)
    log.warning("drain.lease_lost", deliveries=deliveries)


@dataclass(frozen=True, slots=True)
class _Batch:
    """The deliveries of one claim."""

    services: Services
    claim_id: UUID
    configs: dict[UUID, ConfigTarget]
    claims: dict[UUID, Claimed]

    def groups(self, deliveries: Iterable[StoredDelivery]) -> Iterator[list[StoredDelivery]]:
        """Group by organisation, oldest first; a delivery claimed often without success gets a group of its own."""
        ordered = sorted(deliveries, key=lambda d: d.org_id)
        for _, group in groupby(ordered, key=lambda d: d.org_id):
            members = list(group)
            trusted = [d for d in members if self.claims[d.id].attempts <= MAX_TRUSTED_CLAIMS]
            if trusted:
                yield trusted
            yield from ([d] for d in members if self.claims[d.id].attempts > MAX_TRUSTED_CLAIMS)

    async def settle(self, deliveries: Sequence[StoredDelivery]) -> None:
        """Settle one organisation's deliveries in one transaction; if it fails, each alone, so only bad ones fail."""
        try:
            await self._record(deliveries)
        except LostLease:
            _lost(len(deliveries))
        except Exception as error:  # noqa: BLE001 - a parser may fail in any way; only its delivery suffers
            if len(deliveries) > 1:
                for delivery in deliveries:
                    await self.settle([delivery])
            else:
                await self._give_up_or_retry(deliveries[0], error)

    async def _record(self, deliveries: Sequence[StoredDelivery]) -> None:
        parsed, done = self._parse(deliveries)
        target = self.configs[deliveries[0].config_id]
        tenant = Tenant(target.org_id, target.org_slug)
        async with self.services.database.transaction() as tx:
            done += await record_deliveries(tx, tenant, parsed)
            await finish(tx, self.claim_id, done)
        failed = [str(one.id) for one in done if one.failed]
        processed = len(done) - len(failed)
        metrics.DRAINED.labels("processed").inc(processed)
        metrics.DRAINED.labels("failed").inc(len(failed))
        named = {"failed_receipts": failed[:MAX_LOGGED]} if failed else {}
        log.info("drain.settled", org=tenant.org_slug, processed=processed, failed=len(failed), **named)

    def _parse(self, deliveries: Sequence[StoredDelivery]) -> tuple[list[ParsedDelivery], list[Done]]:
        """Parse deliveries; return those that could be parsed, and the outcomes of the others."""
        parsed: list[ParsedDelivery] = []
        refused: list[Done] = []
        region = self.services.settings.region
        for delivery in deliveries:
            try:
                found = SENDERS[delivery.source].parse(Delivery(delivery.event, delivery.headers, delivery.body))
            except BadDelivery as error:
                refused.append(Done(delivery.id, None, error.message, failed=True))
            else:
                if found.unknown_state:
                    metrics.UNKNOWN_STATES.labels(delivery.source).inc()
                    log.warning("drain.unknown_state", receipt=str(delivery.id), state=found.unknown_state)
                parsed.append(ParsedDelivery(delivery, found, self.configs[delivery.config_id], region))
        return parsed, refused

    async def _give_up_or_retry(self, delivery: StoredDelivery, error: Exception) -> None:
        """Retry with back-off after a transient failure of the database; otherwise dead-letter the delivery.

        Beyond a quota of the organisation it waits until the quota starts again.

        Fails closed: if this cannot be written either, the lease expires and the delivery is due again.
        """
        attempt = self.claims[delivery.id].attempts
        delay = _delay(error, attempt)
        log.warning("drain.failed", delivery=str(delivery.id), attempt=attempt, retry=delay is not None, exc_info=error)
        async with self.services.database.transaction() as tx:
            if delay is not None:
                await retry_later(tx, self.claim_id, {delivery.id: tx.now + delay})
            else:
                await finish(tx, self.claim_id, [_dead(delivery, error)])
        metrics.DRAINED.labels("failed" if delay is None else "retried").inc()


def _delay(error: Exception, attempt: int) -> timedelta | None:
    """Return how long to wait before the next attempt; None means dead letter."""
    if isinstance(error, Throttled):
        return timedelta(seconds=error.retry_after)
    kind = ErrorClass.TRANSIENT if isinstance(error, TRANSIENT) else ErrorClass.POISON
    return next_delay(DRAIN, attempt, kind, None, random.random())  # noqa: S311 - jitter, not a secret


def _dead(delivery: StoredDelivery, error: Exception) -> Done:
    message = (
        error.message if isinstance(error, TrailgateError) else "It could not be processed; an operator can replay it."
    )
    trace = "".join(traceback.format_exception(error))[-MAX_ERROR:].replace("\x00", "")
    return Done(delivery.id, None, message, failed=True, error=trace)
