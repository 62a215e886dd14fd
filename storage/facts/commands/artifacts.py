"""Reporting artifacts: the only implementation, for one from the API and for many at once."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from domain.audit.events import AuditName, Event
from domain.canonical import normalise
from domain.facts.artifacts import ArtifactReport, NewArtifact
from domain.facts.records import ARTIFACT_REPORT
from storage.audit.commands import append
from storage.database import Row, Transaction, columns_of
from storage.facts.commands.status import lock_trails, refresh_status
from storage.facts.queries.artifacts import reports_of_keys
from storage.tenant import Tenant

_KNOW = """
INSERT INTO artifacts (id, org_id, digest, created_at)
SELECT a.id, $1, a.digest, $2 FROM unnest($3::uuid[], $4::text[]) AS a(id, digest)
ON CONFLICT (org_id, digest) DO NOTHING
"""

_REPORT = f"""
INSERT INTO artifact_reports (id, org_id, artifact_id, flow_id, trail_id, digest, name, tag, registry, artifact_type,
                              git_commit, build_url, commit_url, annotations, claimed_by, reported_by, observed_at,
                              created_at)
SELECT r.id, $1, a.id, r.flow_id, r.trail_id, r.digest, r.name, r.tag, r.registry, r.artifact_type, r.git_commit,
       r.build_url, r.commit_url, r.annotations, r.claimed_by, r.reported_by, r.observed_at, $2
FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
            $11::text[], $12::text[], $13::text[], $14::jsonb[], $15::text[], $16::uuid[], $17::timestamptz[])
  AS r(id, flow_id, trail_id, digest, name, tag, registry, artifact_type, git_commit, build_url, commit_url,
       annotations, claimed_by, reported_by, observed_at)
JOIN artifacts a ON a.org_id = $1 AND a.digest = r.digest
ORDER BY r.id
ON CONFLICT (trail_id, digest, name, tag) DO NOTHING
RETURNING {", ".join(ARTIFACT_REPORT.columns)}
"""  # noqa: S608 - names of our own

_EDGES = """
INSERT INTO edges (org_id, to_kind, to_key, from_kind, from_id, relation, event_id)
SELECT $1, 'digest', e.digest, 'trail', e.trail_id, 'reported', e.event_id
FROM unnest($2::text[], $3::uuid[], $4::uuid[]) AS e(digest, trail_id, event_id)
ON CONFLICT (org_id, to_kind, to_key, from_kind, from_id, relation) DO UPDATE SET event_id = excluded.event_id
WHERE excluded.event_id < edges.event_id
"""
"""An edge is known by the least of its events, whichever of them was written first: a rebuild finds the same."""


async def record_artifacts(tx: Transaction, tenant: Tenant, new: Sequence[NewArtifact]) -> list[ArtifactReport]:
    """Report artifacts, and judge the trails they were built on; the answer is in the order of `new`.

    What was reported before, by trail, digest, name and tag, is answered as it stands and leaves no second event
    (W17). Raises NotFound for an unknown trail: then nothing is recorded.
    """
    trails = await lock_trails(tx, tenant, [artifact.trail_id for artifact in new])
    flows = {trail.id: trail.flow_id for trail in trails}
    digests = sorted({artifact.digest for artifact in new})  # in one order, or two reports would wait for each other
    await tx.execute(_KNOW, tenant.org_id, tx.now, [tx.new_id() for _ in digests], digests)
    drafts = {tx.new_id(): artifact for artifact in new}
    rows = [_row(tx, report_id, flows[artifact.trail_id], artifact) for report_id, artifact in drafts.items()]
    made = await tx.rows(_REPORT, tenant.org_id, tx.now, *columns_of(rows, 15))
    if made:
        await refresh_status(tx, tenant, trails)
        await _tell(tx, tenant, drafts, made)
    return await reports_of_keys(tx, tenant, [artifact.key for artifact in new])


async def _tell(tx: Transaction, tenant: Tenant, drafts: Mapping[UUID, NewArtifact], made: Sequence[Row]) -> None:
    """Two events for each report: our own name, and the one that v1 has always used (facts.md 21)."""
    events = [
        _event(name, drafts[row["id"]], row)
        for row in made
        for name in (AuditName.ARTIFACT_REPORTED, AuditName.ARTIFACT_DEPLOYED)
    ]
    event_ids = await append(tx, tenant, events, [("artifacts", row["trail_id"]) for row in made])
    edges: dict[tuple[str, UUID], UUID] = {}
    for row, event_id in zip(made, event_ids[::2], strict=True):
        edges.setdefault((row["digest"], row["trail_id"]), event_id)
    await tx.execute(_EDGES, tenant.org_id, *columns_of([(*edge, event_id) for edge, event_id in edges.items()], 3))


def _row(tx: Transaction, report_id: UUID, flow_id: UUID, new: NewArtifact) -> tuple[Any, ...]:
    return (
        report_id,
        flow_id,
        new.trail_id,
        new.digest,
        new.name,
        new.tag,
        new.registry,
        new.artifact_type.value if new.artifact_type else None,
        new.git_commit,
        new.build_url,
        new.commit_url,
        normalise(new.annotations),
        new.claimed_by,
        new.actor.principal_id,
        new.observed_at or tx.now,
    )


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
