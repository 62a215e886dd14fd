"""The drain: from accepted deliveries to facts, a batch at a time (ARCHITECTURE.md 2)."""

import asyncio
import random
import traceback
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from uuid import UUID

import structlog

from domain.audit.events import Actor
from domain.errors import TrailgateError
from domain.facts.attestations import NewAttestation, Origin, ResultStatus, clamped
from domain.facts.commits import is_abbreviated
from domain.facts.trails import UNKNOWN, NewTrail
from domain.retries import DRAIN, ErrorClass, next_delay
from domain.tenant import Tenant
from integrations import SENDERS
from integrations.contract import BadDelivery, Delivery, Parsed, TrailHint
from storage.database import TRANSIENT, Transaction
from storage.facts.commands.attestations import record_on_trails
from storage.facts.commands.status import lock_trails
from storage.facts.commands.trails import TrailChange, change_trails, open_trails
from storage.facts.queries.trails import (
    flows_of_trails,
    newest_trails_of_abbreviations,
    newest_trails_of_commits,
)
from storage.facts.queries.webhook_configs import ConfigTarget, targets
from storage.inbox.commands import Claimed, Done, LostLease, claim, finish, give_back, retry_later
from storage.inbox.queries import StoredDelivery, load
from storage.services import Services
from workers import metrics

log = structlog.get_logger()

LANES = 2
"""Batches in work at once: while Postgres writes one, the next is parsed."""

MAX_ERROR = 8000

TRUSTED_CLAIMS, MOST_CLAIMS = 3, 20
"""A delivery that kills its worker is claimed again and again: alone after the first, not at all after the second."""


@dataclass(frozen=True, slots=True)
class Read:
    """A delivery with what its sender's parser made of it."""

    delivery: StoredDelivery
    parsed: Parsed
    target: ConfigTarget
    region: str

    @property
    def actor(self) -> Actor:
        """Facts of a webhook are reported by the principal of its config."""
        d = self.delivery
        return Actor(self.target.principal_id, d.config_id, str(d.id), self.region)

    @property
    def commit_key(self) -> tuple[UUID, str] | None:
        """One trail per commit and flow, where the event names a commit and no trail."""
        hint = self.parsed.trail
        return (self.target.flow_id, hint.commit) if hint and hint.commit and not hint.trail_id else None


async def drain(services: Services) -> None:
    """Work until the inbox has nothing due. May be lost, repeated and run beside itself without harm."""
    await asyncio.gather(*(_lane(services) for _ in range(LANES)))


async def _lane(services: Services) -> None:
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
    worn_out = {c.id for c in claimed if c.attempts > MOST_CLAIMS} - bodiless
    await _bury(services, claim_id, bodiless, "Its body is not kept any more.")
    await _bury(services, claim_id, worn_out, f"It was begun {MOST_CLAIMS} times and never finished.")
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


async def _bury(services: Services, claim_id: UUID, ids: set[UUID], why: str) -> None:
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
            trusted = [d for d in members if self.claims[d.id].attempts <= TRUSTED_CLAIMS]
            if trusted:
                yield trusted
            yield from ([d] for d in members if self.claims[d.id].attempts > TRUSTED_CLAIMS)

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
        read, done = self._read(deliveries)
        target = self.configs[deliveries[0].config_id]
        tenant = Tenant(target.org_id, target.org_slug)
        async with self.services.database.transaction() as tx:
            done += await record(tx, tenant, read)
            await finish(tx, self.claim_id, done)
        failed = sum(one.failed for one in done)
        metrics.DRAINED.labels("processed").inc(len(done) - failed)
        metrics.DRAINED.labels("failed").inc(failed)
        log.info("drain.settled", org=tenant.org_slug, processed=len(done) - failed, failed=failed)

    def _read(self, deliveries: Sequence[StoredDelivery]) -> tuple[list[Read], list[Done]]:
        read: list[Read] = []
        refused: list[Done] = []
        for delivery in deliveries:
            try:
                parsed = SENDERS[delivery.source].parse(Delivery(delivery.event, delivery.headers, delivery.body))
            except BadDelivery as error:
                refused.append(Done(delivery.id, None, error.message, failed=True))
            else:
                target = self.configs[delivery.config_id]
                read.append(Read(delivery, parsed, target, self.services.settings.region))
        return read, refused

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


async def record(tx: Transaction, tenant: Tenant, read: Sequence[Read]) -> list[Done]:
    """Trails, attestations and outcomes of deliveries, oldest first; composed of the same commands as the API's."""
    strangers = await _strangers(tx, tenant, read)
    ours = [r for r in read if r.delivery.id not in strangers]
    trail_ids = await _find_or_open(tx, tenant, ours)
    if trail_ids:
        held = await lock_trails(tx, tenant, list(trail_ids.values()))
        changes = [_change(r, trail_ids[r.delivery.id], r.parsed.trail) for r in ours if r.parsed.trail]
        await change_trails(tx, tenant, changes)
        facts = [fact for r in ours for fact in _attestations(r, trail_ids.get(r.delivery.id))]
        if facts:
            await record_on_trails(tx, tenant, held, facts)
    refused = [
        Done(r.delivery.id, r.parsed.event_type, "trailId: no such trail in this webhook's flow", failed=True)
        for r in read
        if r.delivery.id in strangers
    ]
    return [*refused, *(_done(r, trail_ids.get(r.delivery.id)) for r in ours)]


async def _strangers(tx: Transaction, tenant: Tenant, read: Sequence[Read]) -> set[UUID]:
    """Deliveries that name a trail which is not in their config's flow."""
    named = {r.delivery.id: r.parsed.trail.trail_id for r in read if r.parsed.trail and r.parsed.trail.trail_id}
    flows = await flows_of_trails(tx, tenant, list(named.values())) if named else {}
    return {
        r.delivery.id for r in read if r.delivery.id in named and flows.get(named[r.delivery.id]) != r.target.flow_id
    }


async def _find_or_open(tx: Transaction, tenant: Tenant, read: Sequence[Read]) -> dict[UUID, UUID]:
    """The trail of each delivery that has one: named, else of its commit, else a new one."""
    commits = {key: r for r in reversed(read) if (key := r.commit_key)}
    trails = await newest_trails_of_commits(tx, tenant, list(commits)) if commits else {}
    if unknown := [key for key in commits if key not in trails]:
        trails |= await newest_trails_of_abbreviations(tx, tenant, unknown)
    if missing := [key for key in commits if key not in trails and not _begins_another(key, commits)]:
        await open_trails(tx, tenant, [_new_trail(commits[key]) for key in missing])
        # Another drain may have opened one of them meanwhile: a second statement sees it.
        trails |= await newest_trails_of_commits(tx, tenant, list(commits))
    found: dict[UUID, UUID] = {}
    for r in read:
        if r.commit_key:
            found[r.delivery.id] = trails[r.commit_key]
        elif r.parsed.trail and r.parsed.trail.trail_id:
            found[r.delivery.id] = r.parsed.trail.trail_id
        elif r.parsed.trail:
            found[r.delivery.id] = (await open_trails(tx, tenant, [_new_trail(r)]))[0].id
    return found


def _begins_another(key: tuple[UUID, str], keys: Iterable[tuple[UUID, str]]) -> bool:
    """An abbreviated commit whose whole is in the same batch finds the trail of that one."""
    flow_id, commit = key
    return is_abbreviated(commit) and any(
        flow == flow_id and whole != commit and whole.startswith(commit) for flow, whole in keys
    )


def _new_trail(read: Read) -> NewTrail:
    hint = read.parsed.trail or TrailHint()
    return NewTrail(
        flow_id=read.target.flow_id,
        actor=read.actor,
        git_commit_sha=hint.commit or UNKNOWN,
        git_branch=hint.branch or UNKNOWN,
        git_author=hint.author or "webhook",
        git_author_email=hint.author_email or UNKNOWN,
        correlation_key=hint.commit,
        git_repository=hint.repository,
        pull_request_id=hint.pull_request,
        pull_request_reviewer=hint.pull_request_reviewer,
        deployment_actor=hint.deployment_actor,
        build_url=hint.build_url,
    )


def _change(read: Read, trail_id: UUID, hint: TrailHint) -> TrailChange:
    return TrailChange(
        trail_id,
        read.actor,
        pull_request_id=hint.pull_request,
        pull_request_reviewer=hint.pull_request_reviewer,
        deployment_actor=hint.deployment_actor,
    )


def _attestations(read: Read, trail_id: UUID | None) -> list[NewAttestation]:
    if trail_id is None:
        return []
    return [
        NewAttestation(
            trail_id=trail_id,
            type=hint.type,
            status=ResultStatus(hint.status),
            actor=read.actor,
            origin=Origin.WEBHOOK,
            name=hint.name,
            source_id=read.delivery.id,
            details=hint.details,
            evidence_url=hint.evidence_url,
            claimed_by=read.parsed.actor,
            observed_at=clamped(read.parsed.observed_at, read.delivery.received_at),
        )
        for hint in read.parsed.attestations
    ]


def _done(read: Read, trail_id: UUID | None) -> Done:
    event_type = read.parsed.event_type
    what = "recorded" if trail_id else "kept; nothing to record"
    return Done(read.delivery.id, event_type, f"{event_type}: {what}", trail_id=trail_id)
