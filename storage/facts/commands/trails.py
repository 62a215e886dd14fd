"""Opening trails, changing what later events add to them, and keeping their status."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from domain.audit.events import Actor, AuditName, Event
from domain.canonical import normalise
from domain.errors import Conflict, NotFound
from domain.facts.records import TRAIL
from domain.facts.trails import NewTrail, Trail, TrailStatus
from storage.audit.commands import append
from storage.database import Transaction, columns_of
from storage.facts.queries.trails import TRAIL_COLUMNS
from storage.tenant import Tenant

_VERSIONS = """
SELECT id, version FROM flows WHERE org_id = $1 AND id = ANY($2::uuid[]) AND archived_at IS NULL
ORDER BY id FOR KEY SHARE
"""
"""Held, so that no flow is archived under a trail that is about to begin."""

_SEALED_COLUMNS = (*TRAIL_COLUMNS, "template")

_OPEN = f"""
INSERT INTO trails ({", ".join(_SEALED_COLUMNS)})
SELECT t.id, $1, t.flow_id, t.flow_version, t.name, t.correlation_key, t.git_commit_sha, t.git_branch, t.git_author,
       t.git_author_email, t.git_repository, t.pull_request_id, t.pull_request_reviewer, t.deployment_actor,
       t.build_url, t.user_data, t.template_text, '{TrailStatus.PENDING}', $2, 1, $2, t.template
FROM unnest($3::uuid[], $4::uuid[], $5::int[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
            $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::jsonb[], $18::text[],
            $19::jsonb[])
  AS t(id, flow_id, flow_version, name, correlation_key, git_commit_sha, git_branch, git_author, git_author_email,
       git_repository, pull_request_id, pull_request_reviewer, deployment_actor, build_url, user_data, template_text,
       template)
ON CONFLICT (flow_id, correlation_key) DO NOTHING
RETURNING {", ".join(_SEALED_COLUMNS)}
"""  # noqa: S608 - names of our own

_EDGES = """
INSERT INTO edges (org_id, to_kind, to_key, from_kind, from_id, relation, event_id)
SELECT $1, 'commit', e.commit, 'trail', e.trail_id, 'built', e.event_id
FROM unnest($2::text[], $3::uuid[], $4::uuid[]) AS e(commit, trail_id, event_id)
ON CONFLICT DO NOTHING
"""


async def open_trails(tx: Transaction, tenant: Tenant, new: Sequence[NewTrail]) -> list[Trail]:
    """Open trails, each pinned to its flow's current version; the answer has those made.

    A correlation key that is taken makes no trail and is no error. Raises NotFound for an unknown flow, Conflict for
    a taken name.
    """
    versions = await _flow_versions(tx, tenant, {trail.flow_id for trail in new})
    drafts = {
        tx.new_id(): trail for trail in sorted(new, key=lambda trail: (trail.flow_id, trail.correlation_key or ""))
    }
    rows = [_row(trail_id, trail, versions[trail.flow_id]) for trail_id, trail in drafts.items()]
    try:
        made = await tx.rows(_OPEN, tenant.org_id, tx.now, *columns_of(rows, 17))
    except asyncpg.UniqueViolationError as error:
        raise Conflict("This flow has a trail of that name already.") from error
    events = [_event(AuditName.TRAIL_CREATED, drafts[row["id"]].actor, row) for row in made]
    event_ids = await append(tx, tenant, events, [("trails", row["flow_id"]) for row in made])
    edges = [(_commit_key(row), row["id"], event_id) for row, event_id in zip(made, event_ids, strict=True)]
    await tx.execute(_EDGES, tenant.org_id, *columns_of(edges, 3))
    return [Trail(**{column: row[column] for column in TRAIL_COLUMNS}) for row in made]


async def _flow_versions(tx: Transaction, tenant: Tenant, flow_ids: set[UUID]) -> Mapping[UUID, int]:
    rows = await tx.rows(_VERSIONS, tenant.org_id, list(flow_ids))
    versions = {row["id"]: row["version"] for row in rows}
    for flow_id in flow_ids - versions.keys():
        raise NotFound(f"There is no flow {flow_id}.")
    return versions


def _row(trail_id: UUID, trail: NewTrail, flow_version: int) -> tuple[Any, ...]:
    return (
        trail_id,
        trail.flow_id,
        flow_version,
        trail.name,
        trail.correlation_key,
        trail.git_commit_sha,
        trail.git_branch,
        trail.git_author,
        trail.git_author_email,
        trail.git_repository,
        trail.pull_request_id,
        trail.pull_request_reviewer,
        trail.deployment_actor,
        trail.build_url,
        normalise(trail.user_data),
        trail.template.text if trail.template else None,
        trail.template.requirements.to_json() if trail.template else None,
    )


def _event(name: AuditName, actor: Actor, row: Mapping[str, Any]) -> Event:
    payload = {
        "trailId": str(row["id"]),
        "flowId": str(row["flow_id"]),
        "gitCommitSha": row["git_commit_sha"],
        "gitBranch": row["git_branch"],
    }
    return Event(name, actor, TRAIL, row, payload, trail_id=row["id"])


def _commit_key(row: Mapping[str, Any]) -> str:
    """`repository@sha`, or the bare sha where the repository is not known (ARCHITECTURE.md 3, subjects)."""
    commit, repository = row["git_commit_sha"], row["git_repository"]
    return f"{repository}@{commit}" if repository else commit


@dataclass(frozen=True, slots=True)
class TrailChange:
    """What a later event adds to a trail; None leaves a field as it is."""

    trail_id: UUID
    actor: Actor
    pull_request_id: str | None = None
    pull_request_reviewer: str | None = None
    deployment_actor: str | None = None

    @property
    def values(self) -> tuple[str | None, str | None, str | None]:
        """In the order of the statement."""
        return self.pull_request_id, self.pull_request_reviewer, self.deployment_actor


_CHANGE = f"""
UPDATE trails t
SET pull_request_id = coalesce(c.pull_request_id, t.pull_request_id),
    pull_request_reviewer = coalesce(c.pull_request_reviewer, t.pull_request_reviewer),
    deployment_actor = coalesce(c.deployment_actor, t.deployment_actor),
    version = t.version + 1
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[])
  AS c(id, pull_request_id, pull_request_reviewer, deployment_actor)
WHERE t.org_id = $1 AND t.id = c.id
  AND (coalesce(c.pull_request_id, t.pull_request_id), coalesce(c.pull_request_reviewer, t.pull_request_reviewer),
       coalesce(c.deployment_actor, t.deployment_actor))
      IS DISTINCT FROM (t.pull_request_id, t.pull_request_reviewer, t.deployment_actor)
RETURNING {", ".join("t." + column for column in _SEALED_COLUMNS)}
"""  # noqa: S608 - names of our own


async def change_trails(tx: Transaction, tenant: Tenant, changes: Sequence[TrailChange]) -> None:
    """Add what later events tell to trails that this transaction holds (`lock_trails`).

    Several changes of one trail are merged: the last word on each field counts.
    """
    merged: dict[UUID, TrailChange] = {}
    for change in changes:
        earlier = merged.get(change.trail_id, change)
        values = [new if new is not None else old for new, old in zip(change.values, earlier.values, strict=True)]
        merged[change.trail_id] = TrailChange(change.trail_id, change.actor, *values)
    ordered = sorted(merged.values(), key=lambda change: change.trail_id)
    rows = [(change.trail_id, *change.values) for change in ordered if any(change.values)]
    if not rows:
        return
    changed = await tx.rows(_CHANGE, tenant.org_id, *columns_of(rows, 4))
    await append(tx, tenant, [_event(AuditName.TRAIL_UPDATED, merged[row["id"]].actor, row) for row in changed])
