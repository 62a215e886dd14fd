"""Holding trails, and keeping their status: every fact on a trail ends here."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.errors import NotFound
from domain.facts.attestations import ResultStatus
from domain.facts.evaluation import Asked, Candidate, Head, trail_status
from domain.facts.requirements import RequirementSet
from domain.facts.trails import TrailStatus
from storage.database import Reader, Row, Transaction, columns_of
from storage.scope import Scope


@dataclass(frozen=True, slots=True)
class LockedTrail:
    """A trail whose row this transaction holds, with what is asked of it."""

    id: UUID
    flow_id: UUID
    status: TrailStatus
    asked: Asked


_LOCK = """
SELECT t.id, t.flow_id, t.status, v.name, v.tags, v.required_types, v.requires_approval,
       coalesce(t.template, v.template) AS template
FROM trails t JOIN flow_versions v ON v.flow_id = t.flow_id AND v.version = t.flow_version
WHERE t.org_id = $1 AND t.id = ANY($2::uuid[])
ORDER BY t.id FOR NO KEY UPDATE OF t
"""


async def lock_trails(tx: Transaction, scope: Scope, trail_ids: Iterable[UUID]) -> list[LockedTrail]:
    """Hold the trails, always in the order of their ids. Raises NotFound for the first that is not there."""
    wanted = set(trail_ids)
    rows = await tx.rows(_LOCK, scope.org_id, list(wanted))
    for missing in wanted - {row["id"] for row in rows}:
        raise NotFound(f"There is no trail {missing}.")
    return [LockedTrail(row["id"], row["flow_id"], TrailStatus(row["status"]), asked_by(row)) for row in rows]


def asked_by(row: Mapping[str, Any]) -> Asked:
    """What a flow version asks for: its template, or the one in its place, else its list of types."""
    template = row["template"]
    requirements = (
        RequirementSet.of_types(row["required_types"]) if template is None else RequirementSet.from_json(template)
    )
    return Asked(requirements, row["requires_approval"], row["name"], tuple(sorted(row["tags"].items())))


_HEADS = """
SELECT trail_id, key, type, slot, digest, status, observed_at, attestation_id, result_n
FROM slot_heads WHERE trail_id = ANY($1::uuid[])
"""


async def heads_of(reader: Reader, trail_ids: Iterable[UUID]) -> dict[UUID, list[Head]]:
    """The newest attestation of every key of each trail."""
    heads: dict[UUID, list[Head]] = {trail_id: [] for trail_id in trail_ids}
    for row in await reader.rows(_HEADS, list(heads)):
        heads[row["trail_id"]].append(_head(row))
    return heads


def _head(row: Row) -> Head:
    return Head(
        key=row["key"],
        type=row["type"],
        slot=row["slot"],
        digest=row["digest"],
        status=ResultStatus(row["status"]),
        observed_at=row["observed_at"],
        attestation_id=row["attestation_id"],
        result_n=row["result_n"],
    )


_ARTIFACTS = """
SELECT DISTINCT trail_id, coalesce(slot, name) AS name, digest FROM artifact_reports
WHERE org_id = $1 AND trail_id = ANY($2::uuid[])
"""

_SET_STATUS = """
UPDATE trails t SET status = s.status, status_at = $1
FROM unnest($2::uuid[], $3::text[]) AS s(id, status) WHERE t.id = s.id
"""


async def refresh_status(tx: Transaction, scope: Scope, trails: Sequence[LockedTrail]) -> None:
    """Judge locked trails anew from their heads and artifacts, and keep what changed."""
    heads = await heads_of(tx, [trail.id for trail in trails])
    artifacts = await _artifacts(tx, scope, [trail.id for trail in trails if trail.asked.requirements.artifacts])
    verdicts = [trail_status(trail.asked, heads[trail.id], artifacts.get(trail.id, ())) for trail in trails]
    changed = [(trail.id, now.value) for trail, now in zip(trails, verdicts, strict=True) if now != trail.status]
    if changed:
        await tx.execute(_SET_STATUS, tx.now, *columns_of(changed, 2))


async def _artifacts(tx: Transaction, scope: Scope, trail_ids: Sequence[UUID]) -> dict[UUID, list[Candidate]]:
    """What was reported on those trails whose template names artifacts."""
    found: dict[UUID, list[Candidate]] = {}
    if trail_ids:
        for row in await tx.rows(_ARTIFACTS, scope.org_id, trail_ids):
            found.setdefault(row["trail_id"], []).append(Candidate(row["name"], row["digest"]))
    return found
