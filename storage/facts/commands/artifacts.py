"""Reporting artifacts, one or many at once."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from domain.audit.events import AuditName, Event
from domain.canonical import normalise
from domain.facts.artifacts import ArtifactReport, NewArtifact
from domain.facts.records import ARTIFACT_REPORT
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.audit.tables import edges
from storage.batches import Batch, BatchInsert, Rows
from storage.database import Row, Transaction
from storage.facts.commands.status import lock_trails, refresh_status
from storage.facts.queries.artifacts import reports_of_keys
from storage.facts.tables import artifact_reports, artifacts

_KNOW = Batch(
    BatchInsert(artifacts, ("id", "digest"), shared=("org_id", "created_at"), conflict="(org_id, digest) DO NOTHING")
)

_REPORTS = Rows.of(
    artifact_reports,
    "id",
    "flow_id",
    "trail_id",
    "digest",
    "name",
    "tag",
    "registry",
    "artifact_type",
    "git_commit",
    "build_url",
    "commit_url",
    "annotations",
    "claimed_by",
    "reported_by",
    "observed_at",
)
_REPORT = f"""
INSERT INTO artifact_reports ({", ".join(_REPORTS.types)}, org_id, artifact_id, created_at)
SELECT {", ".join(f"r.{name}" for name in _REPORTS.types)}, $1, a.id, $2
FROM {_REPORTS.source("r", 3)} JOIN artifacts a ON a.org_id = $1 AND a.digest = r.digest
ORDER BY r.id
ON CONFLICT (trail_id, digest, name, tag) DO NOTHING
RETURNING {", ".join(ARTIFACT_REPORT.columns)}
"""

_EDGES = Batch(
    BatchInsert(
        edges,
        ("to_key", "from_id", "event_id"),
        shared=("org_id", "to_kind", "from_kind", "relation"),
        conflict="(org_id, to_kind, to_key, from_kind, from_id, relation) DO UPDATE SET event_id = excluded.event_id "
        "WHERE excluded.event_id < edges.event_id",
    )
)
"""An edge names the smallest of its event ids, whichever was written first, so that a rebuild gives the same edge."""


async def record_artifacts(tx: Transaction, tenant: Tenant, new: Sequence[NewArtifact]) -> list[ArtifactReport]:
    """Report artifacts and judge their trails again; return the reports in the order of `new`.

    A report with the same trail, digest, name and tag as an earlier one changes nothing: the earlier one is returned.
    Raises NotFound for an unknown trail; then nothing is recorded.
    """
    trails = await lock_trails(tx, tenant, [artifact.trail_id for artifact in new])
    flows = {trail.id: trail.flow_id for trail in trails}
    digests = sorted({artifact.digest for artifact in new})  # a fixed order, so that two reports cannot deadlock
    known = [{"id": tx.new_id(), "digest": digest} for digest in digests]
    await _KNOW.write(tx, {"org_id": tenant.org_id, "created_at": tx.now}, known)
    drafts = {tx.new_id(): artifact for artifact in new}
    rows = [_row(tx, report_id, flows[artifact.trail_id], artifact) for report_id, artifact in drafts.items()]
    made = await tx.rows(_REPORT, tenant.org_id, tx.now, *_REPORTS.arrays(rows))
    if made:
        await refresh_status(tx, tenant, trails)
        await _append_events(tx, tenant, drafts, made)
    return await reports_of_keys(tx, tenant, [artifact.key for artifact in new])


async def _append_events(
    tx: Transaction, tenant: Tenant, drafts: Mapping[UUID, NewArtifact], made: Sequence[Row]
) -> None:
    """Append two audit events for each report, `artifact.reported` and the name that v1 uses, and write the edges."""
    events = [
        _event(name, drafts[row["id"]], row)
        for row in made
        for name in (AuditName.ARTIFACT_REPORTED, AuditName.ARTIFACT_DEPLOYED)
    ]
    event_ids = await append(tx, tenant, events, [("artifacts", row["trail_id"]) for row in made])
    first: dict[tuple[str, UUID], UUID] = {}
    for row, event_id in zip(made, event_ids[::2], strict=True):
        first.setdefault((row["digest"], row["trail_id"]), event_id)
    shared = {"org_id": tenant.org_id, "to_kind": "digest", "from_kind": "trail", "relation": "reported"}
    rows = [{"to_key": digest, "from_id": trail, "event_id": event} for (digest, trail), event in first.items()]
    await _EDGES.write(tx, shared, rows)


def _row(tx: Transaction, report_id: UUID, flow_id: UUID, new: NewArtifact) -> dict[str, Any]:
    return {
        "id": report_id,
        "flow_id": flow_id,
        "trail_id": new.trail_id,
        "digest": new.digest,
        "name": new.name,
        "tag": new.tag,
        "registry": new.registry,
        "artifact_type": new.artifact_type.value if new.artifact_type else None,
        "git_commit": new.git_commit,
        "build_url": new.build_url,
        "commit_url": new.commit_url,
        "annotations": normalise(new.annotations),
        "claimed_by": new.claimed_by,
        "reported_by": new.actor.principal_id,
        "observed_at": new.observed_at or tx.now,
    }


def _event(name: AuditName, new: NewArtifact, row: Row) -> Event:
    payload = {
        "artifactId": str(row["id"]),
        "trailId": str(row["trail_id"]),
        "imageName": row["name"],
        "imageTag": row["tag"],
        "sha256Digest": row["digest"],
        "registry": row["registry"],
    }
    return Event(name, new.actor, ARTIFACT_REPORT, row, payload, trail_id=row["trail_id"], digest=row["digest"])
