"""The relay: from the outbox to whoever is to be told (ARCHITECTURE.md 2, engineering.md 2.5).

A parcel is what one claim brought for one destination. Parcels are delivered beside each other, so that a slow
destination holds up nobody else; inside one, messages of one subject go one after the other.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from uuid import UUID

import structlog

from domain.notifications.deliveries import OPEN_AFTER, News
from domain.notifications.triggers import Severity
from domain.retries import ErrorClass
from domain.tenant import Tenant
from storage.database import TRANSIENT, Reader
from storage.group_commit import GroupCommit, Limits
from storage.notifications.announcements import announce
from storage.notifications.commands.inapp import NewNotification, notify
from storage.notifications.queries.rules import RuleTarget, channel_targets
from storage.outbox.claims import Claim, ClaimedMessage, claim, give_back
from storage.outbox.settlement import Change, settle
from storage.schedule.wakeups import Job
from storage.secrets.envelope import Undecipherable
from storage.services import Services
from workers.metrics import RELAY_RETRIES, RELAYED
from workers.notifications.channels import Notifier, Told
from workers.notifications.templates import Templates

log = structlog.get_logger()

MOST_CLAIMED, PER_DESTINATION = 2048, 512
"""Messages in this process at once, and of those for one destination."""
AT_ONCE = 32
"""Requests under way to one destination."""
LEASE, RESERVE = timedelta(seconds=120), timedelta(seconds=30)
"""Nothing is begun in the last part of a lease: it must be settled before somebody else may claim it."""
POLL = 0.1
"""Seconds between two looks at the outbox while parcels are under way."""
WATCH = 60.0
"""Seconds that one job keeps looking; then it rings for its successor. Parcels outlive it."""
PATIENCE = 0.2
"""Seconds between two tries to keep an outcome while Postgres is away."""
SETTLING = Limits(items=4096, weight=0, batch=128, writers=2)


@dataclass(slots=True)
class _Lane:
    """All that is under way to one destination."""

    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    claimed: int = 0


@dataclass(slots=True)
class _Parcel:
    """`left` is what has not been begun; `shut` once the destination should be left alone."""

    claim_id: UUID
    destination_id: UUID
    size: int
    lease_ends: datetime
    rules: dict[UUID, RuleTarget]
    left: dict[UUID, ClaimedMessage]
    failures: int = 0
    shut: bool = False
    put_off: dict[UUID, datetime] = field(default_factory=dict)

    def note(self, told: Told) -> None:
        """After a request to slow down, or a row of failures, the rest of the parcel is not tried."""
        tried = told.outcome.attempts
        failure = tried[-1].failure if tried else None
        self.failures = self.failures + 1 if failure else 0
        self.shut = self.shut or failure is ErrorClass.THROTTLED or told.outcome.gone or self.failures >= OPEN_AFTER


class Relay:
    """Empties the outbox. Called as a job; its parcels live as long as the worker."""

    def __init__(self, services: Services, templates: Templates) -> None:
        self._services = services
        self._notifier = Notifier(services, templates)
        self._settling = GroupCommit(self._settle, SETTLING)
        self._parcels: dict[asyncio.Task[None], _Parcel] = {}
        self._lanes: dict[UUID, _Lane] = defaultdict(_Lane)
        self._stopping = False

    async def __call__(self, _services: Services) -> None:
        """Work until the outbox has nothing due and nothing is under way. May be lost, repeated and run in parallel."""
        ends = asyncio.get_running_loop().time() + WATCH
        while not self._stopping:
            if asyncio.get_running_loop().time() > ends:
                self._services.doorbell.ring(Job.RELAY)
                return
            if await self._claim():
                await asyncio.sleep(0)
            elif not self._parcels:
                return
            else:
                await asyncio.wait(self._parcels, timeout=POLL, return_when=asyncio.FIRST_COMPLETED)

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
        if self._parcels:
            _, late = await asyncio.wait(self._parcels, timeout=self._services.settings.shutdown_grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._settling.close()

    async def _claim(self) -> int:
        """Lease what there is room for and send it on its way; the answer is how many messages."""
        room = MOST_CLAIMED - sum(lane.claimed for lane in self._lanes.values())
        if room < PER_DESTINATION:
            return 0
        busy = [destination_id for destination_id, lane in self._lanes.items() if lane.claimed > PER_DESTINATION // 2]
        wanted = Claim(self._services.ids.new(), room, PER_DESTINATION // 2, LEASE, busy)
        async with self._services.database.transaction() as tx:
            claimed = await claim(tx, wanted)
            rules = await self._rules(tx, sorted({m.rule_id for m in claimed if m.rule_id}))
        by_destination = attrgetter("destination_id")
        for destination_id, messages in groupby(sorted(claimed, key=by_destination), key=by_destination):
            left = {message.id: message for message in messages}
            self._begin(_Parcel(wanted.id, destination_id, len(left), tx.now + LEASE, rules, left))
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

    def _begin(self, parcel: _Parcel) -> None:
        task = asyncio.create_task(self._deliver(parcel))
        self._parcels[task] = parcel
        self._lanes[parcel.destination_id].claimed += parcel.size
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        parcel = self._parcels.pop(task)
        self._lanes[parcel.destination_id].claimed -= parcel.size
        if not self._lanes[parcel.destination_id].claimed:
            del self._lanes[parcel.destination_id]
        if not task.cancelled() and (error := task.exception()):
            log.error("relay.parcel_lost", exc_info=error)  # its leases run out, then it is due again

    async def _deliver(self, parcel: _Parcel) -> None:
        chains: dict[str, list[ClaimedMessage]] = defaultdict(list)
        for message in parcel.left.values():
            chains[message.subject].append(message)
        free = self._lanes[parcel.destination_id].free
        try:
            await asyncio.gather(*(self._in_order(parcel, chain, free) for chain in chains.values()))
        finally:
            parcel.shut = True  # a chain that goes on after another one broke must not begin what is given back
            await asyncio.shield(self._give_back(parcel))

    async def _in_order(self, parcel: _Parcel, chain: Iterable[ClaimedMessage], free: asyncio.Semaphore) -> None:
        """One subject's messages; once one must wait, those behind it wait with it."""
        waits_for: datetime | None = None
        for message in chain:
            if waits_for is not None:
                parcel.put_off[message.id] = waits_for
                continue
            async with free:
                if parcel.shut or self._services.clock.now() > parcel.lease_ends - RESERVE:
                    return
                del parcel.left[message.id]
                told = await self._notifier.tell(
                    parcel.claim_id, message, parcel.rules.get(message.rule_id) if message.rule_id else None
                )
                parcel.note(told)
            await self._keep(parcel, told)
            waits_for = told.outcome.due_at

    async def _keep(self, parcel: _Parcel, told: Told) -> None:
        """Settle an outcome; while Postgres is away it is kept here, for as long as the lease holds."""
        while True:
            try:
                await self._settling.submit(told)
            except TRANSIENT:
                if self._services.clock.now() > parcel.lease_ends:
                    raise
                await asyncio.sleep(PATIENCE)
            else:
                return

    async def _give_back(self, parcel: _Parcel) -> None:
        if not parcel.left:
            return
        async with self._services.database.transaction() as tx:
            due = {one: parcel.put_off.get(one, tx.now) for one in parcel.left}
            await give_back(tx, parcel.claim_id, due)

    async def _settle(self, batch: Sequence[Told]) -> Sequence[None]:
        """One transaction for many outcomes, with what they write inside the product."""
        notifications: dict[Tenant, list[NewNotification]] = defaultdict(list)
        async with self._services.database.transaction() as tx:
            changes = await settle(tx, [told.outcome for told in batch], random.random())  # noqa: S311 - jitter
            tenants = {told.message.org_id: Tenant(told.message.org_id, told.message.org_slug) for told in batch}
            for told in batch:
                if told.notification:
                    notifications[tenants[told.message.org_id]].append(told.notification)
            for change in changes:
                notifications[tenants[change.org_id]].append(_news(change))
            for tenant in sorted(notifications, key=lambda tenant: tenant.org_id):
                await notify(tx, tenant, notifications[tenant])
        _count(batch)
        for tenant in notifications:
            await announce(self._services, tenant.org_id)
        return [None] * len(batch)


def _count(batch: Sequence[Told]) -> None:
    ends = Counter((told.message.channel, None if told.outcome.due_at else told.outcome.status) for told in batch)
    for (channel, status), number in ends.items():
        counter = RELAYED.labels(channel, status.value.lower()) if status else RELAY_RETRIES.labels(channel)
        counter.inc(number)


_NEWS = {
    News.FAILING: (Severity.WARNING, "Deliveries to {} keep failing", "They are tried again for about a day. {}"),
    News.EXHAUSTED: (
        Severity.CRITICAL,
        "A message to {} was given up",
        "Mend the destination, then replay its dead letters: POST /api/v1/destinations/{{id}}/replay. {}",
    ),
    News.RECOVERED: (Severity.INFO, "Deliveries to {} arrive again", "What was waiting is on its way.{}"),
    News.DISABLED: (
        Severity.CRITICAL,
        "The destination {} was disabled",
        "Nothing is sent there until it is enabled: POST /api/v1/destinations/{{id}}/enable. {}",
    ),
}


def _news(change: Change) -> NewNotification:
    """What the owner of a destination is told, inside the product: the other channels may be what fails."""
    severity, title, message = _NEWS[change.news]
    text = message.format(change.reason).replace("{id}", str(change.destination_id)).strip()
    return NewNotification(title.format(change.label), text, severity, "DESTINATION", change.destination_id)
