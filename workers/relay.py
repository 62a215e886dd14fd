"""The relay: sends messages from the outbox to their destinations.

The messages that one claim returns for one destination are a batch. Batches are delivered concurrently, so that a slow
destination does not delay the others; within a batch, the messages of one subject are sent one after the other.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from uuid import UUID

import structlog

from domain.tenant import Tenant
from storage.database import TRANSIENT, Reader
from storage.group_commit import GroupCommit, Limits
from storage.notifications.announcements import announce
from storage.notifications.commands.inapp import NewNotification, notify
from storage.notifications.queries.rules import RuleTarget, channel_targets
from storage.outbox.claims import ClaimedMessage, ClaimRequest, claim, give_back
from storage.outbox.settlement import settle
from storage.schedule.wakeups import Job
from storage.secrets.envelope import Undecipherable
from storage.services import Services
from workers.metrics import RELAY_RETRIES, RELAYED
from workers.notifications.channels import DeliveryResult, Notifier
from workers.notifications.flow import MAX_PER_DESTINATION, DestinationBatch, FlowControl
from workers.notifications.health_notices import health_notice
from workers.notifications.templates import Templates

log = structlog.get_logger()

LEASE, RESERVE = timedelta(seconds=120), timedelta(seconds=30)
"""No message is sent in the last RESERVE of a lease: it must be settled before another worker may claim it."""
POLL = 0.1
"""Seconds between two claims while batches are being delivered."""
WATCH = 60.0
"""Seconds that one job runs before it wakes its successor. Batches continue after it."""
PAUSE = 0.2
"""Seconds between two attempts to record an outcome while Postgres is unavailable."""
SETTLING = Limits(items=4096, weight=0, batch=128, writers=2)


class Relay:
    """Delivers the messages of the outbox. The job calls it; its batches live as long as the worker."""

    def __init__(self, services: Services, templates: Templates) -> None:
        self._services = services
        self._notifier = Notifier(services, templates)
        self._settling = GroupCommit(self._settle, SETTLING)
        self._batches: dict[asyncio.Task[None], DestinationBatch] = {}
        self._flow = FlowControl()
        self._stopping = False

    async def __call__(self, _services: Services) -> None:
        """Deliver until no message is due or being sent. A run may be lost, repeated or concurrent without harm."""
        ends = asyncio.get_running_loop().time() + WATCH
        while not self._stopping:
            if asyncio.get_running_loop().time() > ends:
                self._services.wakeups.wake(Job.RELAY)
                return
            if await self._claim():
                await asyncio.sleep(0)
            elif not self._batches:
                return
            else:
                await asyncio.wait(self._batches, timeout=POLL, return_when=asyncio.FIRST_COMPLETED)

    @classmethod
    @asynccontextmanager
    async def opened(cls, services: Services) -> "AsyncIterator[Relay]":
        """Open a relay, with the process that renders users' templates."""
        templates = Templates()
        relay = cls(services, templates)
        try:
            yield relay
        finally:
            await relay._close()
            await templates.close()

    def stop(self) -> None:
        """Claim nothing more."""
        self._stopping = True

    async def _close(self) -> None:
        """Let running batches finish within the grace period, release the leases of the rest, record every outcome."""
        self.stop()
        if self._batches:
            _, late = await asyncio.wait(self._batches, timeout=self._services.settings.shutdown_grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._settling.close()

    async def _claim(self) -> bool:
        """Lease as many messages as flow control allows, and start their batches; return whether to claim again."""
        capacity = self._flow.capacity
        if not capacity:
            return False
        wanted = ClaimRequest(self._services.ids.new(), capacity, MAX_PER_DESTINATION // 2, LEASE, self._flow.busy)
        async with self._services.database.transaction() as tx:
            claimed, more = await claim(tx, wanted)
            rules = await self._rules(tx, sorted({m.rule_id for m in claimed if m.rule_id}))
        by_destination = attrgetter("destination_id")
        for destination_id, messages in groupby(sorted(claimed, key=by_destination), key=by_destination):
            left = {message.id: message for message in messages}
            self._begin(DestinationBatch(wanted.id, destination_id, len(left), tx.now + LEASE, rules, left))
        return more or bool(claimed)

    async def _rules(self, reader: Reader, rule_ids: Sequence[UUID]) -> dict[UUID, RuleTarget]:
        """Return the rules whose secrets can be decrypted: one that cannot must not block all messages."""
        try:
            return await channel_targets(reader, self._services.envelope, rule_ids)
        except Undecipherable:
            rules: dict[UUID, RuleTarget] = {}
            for rule_id in rule_ids:
                with suppress(Undecipherable):
                    rules |= await channel_targets(reader, self._services.envelope, [rule_id])
            return rules

    def _begin(self, batch: DestinationBatch) -> None:
        task = asyncio.create_task(self._deliver(batch))
        self._batches[task] = batch
        self._flow.begin(batch)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._flow.end(self._batches.pop(task))
        if not task.cancelled() and (error := task.exception()):
            log.error("relay.batch_lost", exc_info=error)  # its messages are due again when the leases expire

    async def _deliver(self, batch: DestinationBatch) -> None:
        place = self._flow.place(batch)
        try:
            await asyncio.gather(*(self._in_order(batch, chain, place) for chain in batch.chains()))
        finally:
            batch.stopped = True  # after an error in one chain, the others must not send messages being released
            await asyncio.shield(self._give_back(batch))

    async def _in_order(
        self, batch: DestinationBatch, chain: Iterable[ClaimedMessage], place: asyncio.Semaphore
    ) -> None:
        """Deliver the messages of one subject; once one must be retried, postpone those behind it to the same time."""
        waits_for: datetime | None = None
        for message in chain:
            if waits_for is not None:
                batch.put_off[message.id] = waits_for
                continue
            async with place:
                if batch.stopped or self._services.clock.now() > batch.lease_ends - RESERVE:
                    return
                del batch.left[message.id]
                result = await self._notifier.deliver(batch.claim_id, message, batch.rule_of(message))
                batch.note(result)
            await self._keep(batch, result)
            self._flow.settled(batch)
            waits_for = result.outcome.due_at

    async def _keep(self, batch: DestinationBatch, result: DeliveryResult) -> None:
        """Settle an outcome; while Postgres is unavailable, try again until the lease expires."""
        while True:
            try:
                await self._settling.submit(result)
            except TRANSIENT:
                if self._services.clock.now() > batch.lease_ends:
                    raise
                await asyncio.sleep(PAUSE)
            else:
                return

    async def _give_back(self, batch: DestinationBatch) -> None:
        if not batch.left:
            return
        async with self._services.database.transaction() as tx:
            due = {one: batch.put_off.get(one, tx.now) for one in batch.left}
            await give_back(tx, batch.claim_id, due)

    async def _settle(self, results: Sequence[DeliveryResult]) -> Sequence[None]:
        """Record many outcomes in one transaction, with their in-app notifications."""
        notifications: dict[Tenant, list[NewNotification]] = defaultdict(list)
        tenants = {result.message.org_id: result.message.tenant for result in results}
        async with self._services.database.transaction() as tx:
            changes = await settle(tx, [result.outcome for result in results], random.random())  # noqa: S311 - jitter
            for result in results:
                if result.notification:
                    notifications[result.message.tenant].append(result.notification)
            for change in changes:
                notifications[tenants[change.org_id]].append(health_notice(change))
            for tenant in sorted(notifications, key=lambda tenant: tenant.org_id):
                await notify(tx, tenant, notifications[tenant])
        _count(results)
        for tenant in notifications:
            await announce(self._services, tenant.org_id)
        return [None] * len(results)


def _count(results: Sequence[DeliveryResult]) -> None:
    ends = Counter(
        (result.message.channel, None if result.outcome.due_at else result.outcome.status) for result in results
    )
    for (channel, status), number in ends.items():
        counter = RELAYED.labels(channel, status.value.lower()) if status else RELAY_RETRIES.labels(channel)
        counter.inc(number)
