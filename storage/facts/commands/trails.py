"""Opening trails, and filling in fields that later events report."""

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
from domain.identity.quotas import Quota
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.audit.tables import edges
from storage.batches import Batch, BatchInsert, Rows
from storage.database import Row, Transaction
from storage.facts.queries.flows import get_flow
from storage.facts.tables import trails
from storage.identity.commands.quotas import charge
from storage.rows import columns, from_row

_VERSIONS = """
SELECT id, version FROM flows WHERE org_id = $1 AND id = ANY($2::uuid[]) AND archived_at IS NULL
ORDER BY id FOR KEY SHARE
"""
"""Locked, so that no flow is archived while a trail is being opened in it."""

_SEALED = f"{columns(Trail)}, template"

_OPEN = Batch(
    BatchInsert(
        trails,
        (
            "id",
            "flow_id",
            "flow_version",
            "name",
            "correlation_key",
            "git_commit_sha",
            "git_branch",
            "git_author",
            "git_author_email",
            "git_repository",
            "pull_request_id",
            "pull_request_reviewer",
            "deployment_actor",
            "build_url",
            "user_data",
            "template_text",
            "template",
        ),
        shared=("org_id", "status", "status_at", "version", "created_at"),
        conflict="(flow_id, correlation_key) DO NOTHING",
    ),
    returning=_SEALED,
)

_EDGES = Batch(
    BatchInsert(
        edges,
        ("to_key", "from_id", "event_id"),
        shared=("org_id", "to_kind", "from_kind", "relation"),
        conflict="DO NOTHING",
    )
)

_trail = from_row(Trail)


async def open_trails(tx: Transaction, tenant: Tenant, new: Sequence[NewTrail]) -> list[Trail]:
    """Open trails, each pinned to its flow's current version; return those that were created.

    A trail with a correlation key that is taken is not created, without an error. Raises NotFound for an unknown flow
    and for one outside the tenant's scopes, unless the trail's repository is within them; Conflict for a taken name,
    Throttled when the organisation's quota is exceeded.
    """
    for trail in new:
        _check_scopes(tenant, trail.flow_id, trail.git_repository)
    await charge(tx, tenant, Quota.TRAILS_PER_DAY, len(new))
    versions = await _flow_versions(tx, tenant, {trail.flow_id for trail in new})
    drafts = {
        tx.new_id(): trail for trail in sorted(new, key=lambda trail: (trail.flow_id, trail.correlation_key or ""))
    }
    rows = [_row(trail_id, trail, versions[trail.flow_id]) for trail_id, trail in drafts.items()]
    shared = {
        "org_id": tenant.org_id,
        "status": TrailStatus.PENDING.value,
        "status_at": tx.now,
        "version": 1,
        "created_at": tx.now,
    }
    try:
        made = await _OPEN.write_returning(tx, shared, rows)
    except asyncpg.UniqueViolationError as error:
        raise Conflict("This flow has a trail of that name already.") from error
    events = [_event(AuditName.TRAIL_CREATED, drafts[row["id"]].actor, row) for row in made]
    event_ids = await append(tx, tenant, events, [("trails", row["flow_id"]) for row in made])
    await _link(tx, tenant, made, event_ids)
    return [_trail(row) for row in made]


async def check_flow(tx: Transaction, tenant: Tenant, flow_id: UUID, repository: str | None) -> None:
    """Raise NotFound for a flow in which no trail of this repository can be opened: unknown, or beyond the scopes."""
    _check_scopes(tenant, flow_id, repository)
    await get_flow(tx, tenant.unscoped, flow_id)


def _check_scopes(tenant: Tenant, flow_id: UUID, repository: str | None) -> None:
    if tenant.scopes is not None and not tenant.scopes.contain(flow_id, repository):
        raise NotFound(f"There is no flow {flow_id}.")


async def _link(tx: Transaction, tenant: Tenant, made: Sequence[Row], event_ids: Sequence[UUID]) -> None:
    """Write an edge from each commit to its trail."""
    shared = {"org_id": tenant.org_id, "to_kind": "commit", "from_kind": "trail", "relation": "built"}
    rows = [
        {"to_key": _commit_key(row), "from_id": row["id"], "event_id": event_id}
        for row, event_id in zip(made, event_ids, strict=True)
    ]
    await _EDGES.write(tx, shared, rows)


async def _flow_versions(tx: Transaction, tenant: Tenant, flow_ids: set[UUID]) -> Mapping[UUID, int]:
    rows = await tx.rows(_VERSIONS, tenant.org_id, list(flow_ids))
    versions = {row["id"]: row["version"] for row in rows}
    for flow_id in flow_ids - versions.keys():
        raise NotFound(f"There is no flow {flow_id}.")
    return versions


def _row(trail_id: UUID, new: NewTrail, flow_version: int) -> dict[str, Any]:
    return {
        "id": trail_id,
        "flow_id": new.flow_id,
        "flow_version": flow_version,
        "name": new.name,
        "correlation_key": new.correlation_key,
        "git_commit_sha": new.git_commit_sha,
        "git_branch": new.git_branch,
        "git_author": new.git_author,
        "git_author_email": new.git_author_email,
        "git_repository": new.git_repository,
        "pull_request_id": new.pull_request_id,
        "pull_request_reviewer": new.pull_request_reviewer,
        "deployment_actor": new.deployment_actor,
        "build_url": new.build_url,
        "user_data": normalise(new.user_data),
        "template_text": new.template.text if new.template else None,
        "template": new.template.requirements.to_json() if new.template else None,
    }


def _event(name: AuditName, actor: Actor, row: Row) -> Event:
    payload = {
        "trailId": str(row["id"]),
        "flowId": str(row["flow_id"]),
        "gitCommitSha": row["git_commit_sha"],
        "gitBranch": row["git_branch"],
    }
    return Event(name, actor, TRAIL, row, payload, trail_id=row["id"])


def _commit_key(row: Row) -> str:
    """Return `repository@sha`, or only the SHA if the repository is not known."""
    commit, repository = row["git_commit_sha"], row["git_repository"]
    return f"{repository}@{commit}" if repository else commit


@dataclass(frozen=True, slots=True)
class TrailChange:
    """Fields that a later event adds to a trail; None leaves a field as it is."""

    trail_id: UUID
    actor: Actor
    pull_request_id: str | None = None
    pull_request_reviewer: str | None = None
    deployment_actor: str | None = None


_ADDED = ("pull_request_id", "pull_request_reviewer", "deployment_actor")
_CHANGES = Rows.of(trails, "id", *_ADDED)
_CHANGE = f"""
UPDATE trails t
SET {", ".join(f"{name} = coalesce(c.{name}, t.{name})" for name in _ADDED)}, version = t.version + 1
FROM {_CHANGES.source("c", 2)}
WHERE t.org_id = $1 AND t.id = c.id
  AND ({", ".join(f"coalesce(c.{name}, t.{name})" for name in _ADDED)})
      IS DISTINCT FROM ({", ".join(f"t.{name}" for name in _ADDED)})
RETURNING {", ".join(f"t.{name}" for name in _SEALED.split(", "))}
"""


async def change_trails(tx: Transaction, tenant: Tenant, changes: Sequence[TrailChange]) -> None:
    """Apply changes to trails that this transaction has locked (`lock_trails`).

    Several changes of one trail are merged; for each field the last value counts.
    """
    merged: dict[UUID, dict[str, Any]] = {}
    for change in changes:
        given = {name: value for name in _ADDED if (value := getattr(change, name)) is not None}
        if given:
            row = merged.setdefault(change.trail_id, {"id": change.trail_id, **dict.fromkeys(_ADDED)})
            row |= {**given, "actor": change.actor}
    if not merged:
        return
    rows = [merged[trail_id] for trail_id in sorted(merged)]
    changed = await tx.rows(_CHANGE, tenant.org_id, *_CHANGES.arrays(rows))
    await append(tx, tenant, [_event(AuditName.TRAIL_UPDATED, merged[row["id"]]["actor"], row) for row in changed])
