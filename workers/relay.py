"""The relay: sends messages from the outbox to their destinations.

What one claim brings for one destination is a batch. Batches are delivered beside each other, so that a slow
destination delays nobody else; inside a batch, the messages of one subject go one after the other.
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
"""Nothing is begun in the last part of a lease: it must be settled before somebody else may claim it."""
POLL = 0.1
"""Seconds between two looks at the outbox while batches are under way."""
WATCH = 60.0
"""Seconds that one job keeps looking; then it wakes its successor. Batches outlive it."""
PAUSE = 0.2
"""Seconds between two tries to keep an outcome while Postgres is away."""
SETTLING = Limits(items=4096, weight=0, batch=128, writers=2)


class Relay:
    """Empties the outbox. Called as a job; its batches live as long as the worker."""

    def __init__(self, services: Services, templates: Templates) -> None:
        self._services = services
        self._notifier = Notifier(services, templates)
        self._settling = GroupCommit(self._settle, SETTLING)
        self._batches: dict[asyncio.Task[None], DestinationBatch] = {}
        self._flow = FlowControl()
        self._stopping = False

    async def __call__(self, _services: Services) -> None:
        """Work until the outbox has nothing due and nothing is under way. May be lost, repeated and run in parallel."""
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
        """A relay, with the process in which users' templates are rendered."""
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
        """Let what is under way arrive within the grace, give back the rest, keep every outcome."""
        self.stop()
        if self._batches:
            _, late = await asyncio.wait(self._batches, timeout=self._services.settings.shutdown_grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._settling.close()

    async def _claim(self) -> int:
        """Lease what there is room for and send it on its way; the answer is how many messages."""
        room = self._flow.room
        if not room:
            return 0
        wanted = ClaimRequest(self._services.ids.new(), room, MAX_PER_DESTINATION // 2, LEASE, self._flow.busy)
        async with self._services.database.transaction() as tx:
            claimed = await claim(tx, wanted)
            rules = await self._rules(tx, sorted({m.rule_id for m in claimed if m.rule_id}))
        by_destination = attrgetter("destination_id")
        for destination_id, messages in groupby(sorted(claimed, key=by_destination), key=by_destination):
            left = {message.id: message for message in messages}
            self._begin(DestinationBatch(wanted.id, destination_id, len(left), tx.now + LEASE, rules, left))
        return len(claimed)

    async def _rules(self, reader: Reader, rule_ids: Sequence[UUID]) -> dict[UUID, RuleTarget]:
        """Without those whose secrets do not open: one of them must not hold up everybody's messages."""
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
            log.error("relay.batch_lost", exc_info=error)  # its leases run out, then it is due again

    async def _deliver(self, batch: DestinationBatch) -> None:
        place = self._flow.place(batch)
        try:
            await asyncio.gather(*(self._in_order(batch, chain, place) for chain in batch.chains()))
        finally:
            batch.stopped = True  # a chain that goes on after another one broke must not begin what is given back
            await asyncio.shield(self._give_back(batch))

    async def _in_order(
        self, batch: DestinationBatch, chain: Iterable[ClaimedMessage], place: asyncio.Semaphore
    ) -> None:
        """One subject's messages; once one must wait, those behind it wait with it."""
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
            waits_for = result.outcome.due_at

    async def _keep(self, batch: DestinationBatch, result: DeliveryResult) -> None:
        """Settle an outcome; while Postgres is away it is kept here, for as long as the lease holds."""
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
        """One transaction for many outcomes, with what they write inside the product."""
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
