"""Locking trails and updating their status after each new fact, with a notice when a trail becomes NON_COMPLIANT."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.errors import NotFound
from domain.facts.evaluation import Asked, trail_status
from domain.facts.trails import TrailStatus
from domain.notifications.triggers import trail_non_compliant
from domain.tenant import Tenant
from storage.batches import Rows
from storage.database import Transaction
from storage.facts import tables
from storage.facts.commands.runs import counted_results
from storage.facts.queries.approval_outcomes import required_outcomes
from storage.facts.queries.artifacts import candidates_of
from storage.facts.queries.requirements import ASKED_IN_TEXTS, asked_in_texts
from storage.notifications.commands.notices import raise_notices


@dataclass(frozen=True, slots=True)
class LockedTrail:
    """A trail whose row this transaction has locked, with its requirements."""

    id: UUID
    flow_id: UUID
    status: TrailStatus
    asked: Asked


_LOCK = f"""
SELECT t.id, t.flow_id, t.git_repository, t.status, {ASKED_IN_TEXTS}
FROM trails t JOIN flow_versions v ON v.flow_id = t.flow_id AND v.version = t.flow_version
WHERE t.org_id = $1 AND t.id = ANY($2::uuid[])
ORDER BY t.id FOR NO KEY UPDATE OF t
"""


async def lock_trails(tx: Transaction, tenant: Tenant, trail_ids: Iterable[UUID]) -> list[LockedTrail]:
    """Lock trails, always in the order of their ids to avoid deadlocks.

    Raises NotFound for an unknown trail, and for one outside the tenant's scopes.
    """
    wanted = set(trail_ids)
    rows = await tx.rows(_LOCK, tenant.org_id, list(wanted))
    if (scopes := tenant.scopes) is not None:
        rows = [row for row in rows if scopes.contain(row["flow_id"], row["git_repository"])]
    for missing in wanted - {row["id"] for row in rows}:
        raise NotFound(f"There is no trail {missing}.")
    return [LockedTrail(row["id"], row["flow_id"], TrailStatus(row["status"]), asked_in_texts(row)) for row in rows]


_STATUSES = Rows.of(tables.trails, "id", "status")
_SET_STATUS = f"""
UPDATE trails t SET status = s.status, status_at = $1 FROM {_STATUSES.source("s", 2)} WHERE t.id = s.id
"""


async def refresh_status(tx: Transaction, tenant: Tenant, trails: Sequence[LockedTrail]) -> None:
    """Judge locked trails again, and raise a notice for each that became NON_COMPLIANT."""
    changed, _marked = await judge_trails(tx, tenant, trails)
    fallen = [trail for trail, status in changed if status is TrailStatus.NON_COMPLIANT]
    await raise_notices(tx, tenant, [trail_non_compliant(one.id, one.flow_id, one.asked.flow_name) for one in fallen])


async def judge_trails(
    tx: Transaction, tenant: Tenant, trails: Sequence[LockedTrail]
) -> tuple[list[tuple[LockedTrail, TrailStatus]], int]:
    """Judge locked trails by their latest results, their artifacts, and their decided approvals if they require one.

    Return the changed trails with their new status, and how many latest results were marked as superseded or not.
    """
    latest, marked = await counted_results(tx, [trail.id for trail in trails])
    outcomes = await required_outcomes(tx, {trail.id: trail.asked for trail in trails})
    with_artifacts = [one.id for one in trails if one.asked.requirements.artifacts or one.id in outcomes]
    artifacts = await candidates_of(tx, tenant, with_artifacts)
    verdicts = [
        trail_status(one.asked, latest[one.id], artifacts.get(one.id, ()), outcomes.get(one.id, ())) for one in trails
    ]
    changed = [(trail, now) for trail, now in zip(trails, verdicts, strict=True) if now != trail.status]
    if changed:
        rows = [{"id": trail.id, "status": now.value} for trail, now in changed]
        await tx.execute(_SET_STATUS, tx.now, *_STATUSES.arrays(rows))
    return changed, marked
