"""What time alone does to approvals: people are reminded of them, and in the end they expire."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from domain.audit.events import Actor, AuditName, Event
from domain.gates.approvals import Approval
from domain.gates.records import APPROVAL_EXPIRY
from domain.notifications.triggers import approval_expired, approval_required
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.database import Reader, Transaction
from storage.gates.queries.approvals import approvals_with_ids, subjects_of
from storage.notifications.commands.notices import raise_notices

Due = Literal["deadline", "remind_at"]
"""When approvals expire, and when people are reminded of them."""

_DUE: Mapping[Due, str] = {
    "deadline": "status = 'PENDING_APPROVAL' AND deadline <= $1",
    "remind_at": "remind_at <= $1",  # it is null once the approval is decided or has expired
}
_WAITING = """
SELECT a.id, a.org_id, o.slug FROM approvals a JOIN organisations o ON o.id = a.org_id
WHERE {due} ORDER BY {column} LIMIT $2
"""
_HOLD = "SELECT id FROM approvals WHERE id = ANY($2::uuid[]) AND {due} FOR NO KEY UPDATE SKIP LOCKED"
_EXPIRE = """
UPDATE approvals SET status = 'EXPIRED', resolved_at = deadline, remind_at = NULL WHERE id = ANY($1::uuid[])
"""
_REMINDED = "UPDATE approvals SET remind_at = NULL WHERE id = ANY($1::uuid[])"


async def waiting_approvals(reader: Reader, column: Due, now: datetime, limit: int) -> Mapping[Tenant, Sequence[UUID]]:
    """Return approvals whose time has come, by organisation, those first that have waited longest."""
    found: dict[Tenant, list[UUID]] = defaultdict(list)
    for row in await reader.rows(_WAITING.format(due=_DUE[column], column=column), now, limit):
        found[Tenant(row["org_id"], row["slug"])].append(row["id"])
    return found


async def expire_approvals(tx: Transaction, tenant: Tenant, ids: Sequence[UUID]) -> None:
    """Let those of the approvals expire whose deadline has passed, and tell people."""
    due = await _hold_due(tx, tenant, "deadline", ids)
    if not due:
        return
    await tx.execute(_EXPIRE, [one.id for one in due])
    await append(tx, tenant, [_event(tx.new_id(), one) for one in due])
    subjects = await subjects_of(tx, tenant, due)
    notices = [approval_expired(subject, one.deadline or tx.now) for subject, one in zip(subjects, due, strict=True)]
    await raise_notices(tx, tenant, notices)


async def remind_of_approvals(tx: Transaction, tenant: Tenant, ids: Sequence[UUID]) -> None:
    """Remind people, once, of those of the approvals whose deadline comes near."""
    due = await _hold_due(tx, tenant, "remind_at", ids)
    if not due:
        return
    await tx.execute(_REMINDED, [one.id for one in due])
    subjects = await subjects_of(tx, tenant, due)
    notices = [
        approval_required(subject, one.rule.named, one.deadline, reminds=True)
        for subject, one in zip(subjects, due, strict=True)
    ]
    await raise_notices(tx, tenant, notices)


async def _hold_due(tx: Transaction, tenant: Tenant, column: Due, ids: Sequence[UUID]) -> list[Approval]:
    """Lock those of the approvals whose time has come, except those that somebody is deciding."""
    held = await tx.rows(_HOLD.format(due=_DUE[column]), tx.now, ids)
    return await approvals_with_ids(tx, tenant, [row["id"] for row in held]) if held else []


def _event(expiry_id: UUID, approval: Approval) -> Event:
    """Make the event of an approval that expired, which is nobody's act: the actor is whoever requested it."""
    payload = {
        "approvalId": str(approval.id),
        "trailId": str(approval.trail_id),
        "artifactSha256": approval.digest,
        "environmentId": str(approval.environment_id) if approval.environment_id else None,
        "deadline": approval.deadline,
    }
    return Event(
        AuditName.APPROVAL_EXPIRED,
        Actor(approval.requested_by),
        APPROVAL_EXPIRY,
        {"id": expiry_id},
        payload,
        trail_id=approval.trail_id,
        environment_id=approval.environment_id,
        digest=approval.digest,
    )
