"""Recording parsed deliveries as trails and attestations, with the same commands that the API calls."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.audit.events import Actor
from domain.facts.attestation_names import SENT
from domain.facts.attestations import NewAttestation, Origin, ResultStatus, clamped
from domain.facts.commits import is_abbreviated
from domain.facts.trails import UNKNOWN, NewTrail
from domain.tenant import Tenant
from integrations.contract import Parsed, TrailHint
from storage.database import Transaction
from storage.facts.commands.attestations import record_on_trails
from storage.facts.commands.status import lock_trails
from storage.facts.commands.trails import TrailChange, change_trails, open_trails
from storage.facts.queries.trails import (
    flows_of_trails,
    newest_trails_of_abbreviations,
    newest_trails_of_commits,
)
from storage.facts.queries.webhook_configs import ConfigTarget
from storage.inbox.commands import Done
from storage.inbox.queries import StoredDelivery

CommitKey = tuple[UUID, str]
"""A flow and a commit."""


@dataclass(frozen=True, slots=True)
class ParsedDelivery:
    """A delivery with the result of its sender's parser."""

    delivery: StoredDelivery
    parsed: Parsed
    target: ConfigTarget
    region: str

    @property
    def actor(self) -> Actor:
        """The principal of the webhook config, which reports the facts of the delivery."""
        delivery = self.delivery
        return Actor(self.target.principal_id, delivery.config_id, str(delivery.id), self.region)

    @property
    def named_trail(self) -> UUID | None:
        """The trail that the event names, if any."""
        return self.parsed.trail.trail_id if self.parsed.trail else None

    @property
    def commit_key(self) -> CommitKey | None:
        """The flow and commit that identify the trail, if the event names a commit and no trail."""
        hint = self.parsed.trail
        return (self.target.flow_id, hint.commit) if hint and hint.commit and not hint.trail_id else None


async def record_deliveries(tx: Transaction, tenant: Tenant, parsed: Sequence[ParsedDelivery]) -> list[Done]:
    """Record the facts of one organisation's deliveries, given oldest first; return the outcome of each."""
    foreign = await _foreign(tx, tenant, parsed)
    ours = [one for one in parsed if one.delivery.id not in foreign]
    trail_ids = await _find_or_open(tx, tenant, ours)
    if trail_ids:
        held = await lock_trails(tx, tenant, list(trail_ids.values()))
        changes = [_change(one, trail_ids[one.delivery.id], one.parsed.trail) for one in ours if one.parsed.trail]
        await change_trails(tx, tenant, changes)
        facts = [fact for one in ours for fact in _attestations(one, trail_ids.get(one.delivery.id))]
        if facts:
            await record_on_trails(tx, tenant, held, facts)
    refused = [
        Done(one.delivery.id, one.parsed.event_type, "trailId: no such trail in this webhook's flow", failed=True)
        for one in parsed
        if one.delivery.id in foreign
    ]
    return [*refused, *(_done(one, trail_ids.get(one.delivery.id)) for one in ours)]


async def _foreign(tx: Transaction, tenant: Tenant, parsed: Sequence[ParsedDelivery]) -> set[UUID]:
    """Return the ids of deliveries that name a trail outside the flow of their config."""
    named = {one.delivery.id: trail_id for one in parsed if (trail_id := one.named_trail)}
    flows = await flows_of_trails(tx, tenant, list(named.values())) if named else {}
    return {
        one.delivery.id
        for one in parsed
        if one.delivery.id in named and flows.get(named[one.delivery.id]) != one.target.flow_id
    }


async def _find_or_open(tx: Transaction, tenant: Tenant, parsed: Sequence[ParsedDelivery]) -> dict[UUID, UUID]:
    """Return the trail of each delivery that concerns one: the named one, else that of its commit, else a new one."""
    of_commits = await _trails_of_commits(tx, tenant, parsed)
    found: dict[UUID, UUID] = {}
    for one in parsed:
        if one.commit_key:
            found[one.delivery.id] = of_commits[one.commit_key]
        elif one.named_trail:
            found[one.delivery.id] = one.named_trail
        elif one.parsed.trail:
            found[one.delivery.id] = (await open_trails(tx, tenant, [_new_trail(one)]))[0].id
    return found


async def _trails_of_commits(
    tx: Transaction, tenant: Tenant, parsed: Sequence[ParsedDelivery]
) -> dict[CommitKey, UUID]:
    """Return the trail of every named commit; open those that do not exist."""
    commits = {key: one for one in reversed(parsed) if (key := one.commit_key)}
    trails = await newest_trails_of_commits(tx, tenant, commits)
    if unknown := [key for key in commits if key not in trails]:
        trails |= await newest_trails_of_abbreviations(tx, tenant, unknown)
    if missing := [key for key in commits if key not in trails and not _begins_another(key, commits)]:
        made = await open_trails(tx, tenant, [_new_trail(commits[key]) for key in missing])
        trails |= {(trail.flow_id, trail.git_commit_sha): trail.id for trail in made}
    if elsewhere := [key for key in commits if key not in trails]:
        # Another drain has just opened them, or the full commit is in this batch: a second statement finds them.
        trails |= await newest_trails_of_commits(tx, tenant, elsewhere)
    return trails


def _begins_another(key: CommitKey, keys: Iterable[CommitKey]) -> bool:
    """Whether the commit is an abbreviation of another commit of the batch, whose trail it will then use."""
    flow_id, commit = key
    return is_abbreviated(commit) and any(
        flow == flow_id and whole != commit and whole.startswith(commit) for flow, whole in keys
    )


def _new_trail(one: ParsedDelivery) -> NewTrail:
    hint = one.parsed.trail or TrailHint()
    return NewTrail(
        flow_id=one.target.flow_id,
        actor=one.actor,
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


def _change(one: ParsedDelivery, trail_id: UUID, hint: TrailHint) -> TrailChange:
    return TrailChange(
        trail_id,
        one.actor,
        pull_request_id=hint.pull_request,
        pull_request_reviewer=hint.pull_request_reviewer,
        deployment_actor=hint.deployment_actor,
    )


def _attestations(one: ParsedDelivery, trail_id: UUID | None) -> list[NewAttestation]:
    if trail_id is None:
        return []
    return [
        NewAttestation(
            trail_id=trail_id,
            type=hint.type,
            status=ResultStatus(hint.status),
            actor=one.actor,
            origin=Origin.WEBHOOK,
            name=hint.name,
            identity=_of_sender(one, hint.identity),
            run=_of_sender(one, hint.run),
            source_id=one.delivery.id,
            details=hint.details,
            evidence_url=hint.evidence_url,
            claimed_by=one.parsed.actor,
            observed_at=clamped(one.parsed.observed_at, one.delivery.received_at),
        )
        for hint in one.parsed.attestations
    ]


def _of_sender(one: ParsedDelivery, name: str | None) -> str | None:
    """Tell what one webhook config calls so from what another one calls the same, and from any name.

    By config, because another sender with a secret of its own must neither replace nor supersede results.
    """
    return f"{SENT}{one.delivery.source} {one.delivery.config_id}: {name}" if name else None


def _done(one: ParsedDelivery, trail_id: UUID | None) -> Done:
    event_type, unknown = one.parsed.event_type, one.parsed.unknown_state
    what = "recorded" if trail_id else "kept; nothing to record"
    doubt = f"; the state '{unknown}' is unknown" if unknown else ""
    return Done(one.delivery.id, event_type, f"{event_type}: {what}{doubt}", trail_id=trail_id)
