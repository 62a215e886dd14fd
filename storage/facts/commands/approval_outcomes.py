"""Recording how approvals ended that people decided."""

from collections.abc import Sequence

from domain.audit.events import Actor, AuditName, Event
from domain.facts.approvals import ApprovalOutcome
from domain.facts.records import APPROVAL_OUTCOME
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.database import Transaction
from storage.facts.commands.status import LockedTrail, refresh_status
from storage.rows import insert, to_row


async def record_outcome(
    tx: Transaction, tenant: Tenant, trails: Sequence[LockedTrail], outcome: ApprovalOutcome, actor: Actor
) -> None:
    """Record the outcome of an approval, and judge its trail again.

    `trails` is the trail, locked before the approval itself: so whoever holds an approval never waits for a trail.
    """
    row = {**to_row(outcome), "org_id": tenant.org_id, "roles": list(outcome.roles), "record_id": tx.new_id()}
    await insert(tx, "approval_outcomes", row)
    await refresh_status(tx, tenant, trails)
    await append(tx, tenant, [_event(outcome, actor, row)])


def _event(outcome: ApprovalOutcome, actor: Actor, row: dict[str, object]) -> Event:
    payload = {
        "approvalId": str(outcome.id),
        "trailId": str(outcome.trail_id),
        "status": outcome.resolution.value,
        "artifactSha256": outcome.digest,
        "environmentId": str(outcome.environment_id) if outcome.environment_id else None,
    }
    return Event(
        AuditName.APPROVAL_RESOLVED,
        actor,
        APPROVAL_OUTCOME,
        row,
        payload,
        trail_id=outcome.trail_id,
        environment_id=outcome.environment_id,
        digest=outcome.digest,
    )
