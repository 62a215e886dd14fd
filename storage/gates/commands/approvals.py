"""Requesting and deciding approvals."""

from dataclasses import replace
from typing import Any
from uuid import UUID

from domain.audit.events import Actor, AuditName, Event
from domain.audit.records import RecordForm
from domain.errors import Invalid
from domain.facts.approvals import ApprovalOutcome, Resolution
from domain.facts.trails import Trail
from domain.gates.approvals import (
    Approval,
    ApprovalStatus,
    Decision,
    NewApproval,
    NewDecision,
    author_aliases,
    barred_by,
    check_decider,
    check_first,
    check_open,
    check_request,
    reminder_at,
    resolution,
    roles_of,
)
from domain.gates.records import APPROVAL, APPROVAL_DECISION
from domain.moments import later_than
from domain.notifications.triggers import approval_rejected, approval_required, break_glass_used
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.database import Row, Transaction
from storage.environments.queries.environments import get_environment, only_environment
from storage.facts.queries.approval_outcomes import last_resolved_at
from storage.facts.queries.artifacts import candidates_of
from storage.facts.queries.flows import get_flow
from storage.facts.queries.trails import get_trail
from storage.gates.queries.approvals import decisions_of, get_approval, hold_approval, subjects_of
from storage.notifications.commands.notices import raise_notices
from storage.rows import insert


async def request_approval(tx: Transaction, tenant: Tenant, new: NewApproval, actor: Actor) -> Approval:
    """Request the approval of a trail or of an artifact on it, and notify people.

    The roles that the flow requires of approvers are added to the rule. Raises NotFound for the trail, its flow or the
    environment, Invalid for a digest that is not reported on the trail, and for a rule that nobody can fulfil.
    """
    trail = await get_trail(tx, tenant, new.trail_id)
    flow = await get_flow(tx, tenant.unscoped, trail.flow_id)  # the trail is within the scopes
    new = replace(new, rule=new.rule.requiring(flow.required_approver_roles))
    check_request(new, tx.now)
    await _check_digest(tx, tenant, new)
    row = _row(tx, tenant, replace(new, environment_id=await _environment_id(tx, tenant, new)), trail, actor)
    await insert(tx, "approvals", row)
    await append(tx, tenant, [_event(AuditName.APPROVAL_REQUESTED, actor, APPROVAL, row, row)])
    approval = await get_approval(tx, tenant.unscoped, row["id"])
    [subject] = await subjects_of(tx, tenant, [approval])
    await raise_notices(tx, tenant, [approval_required(subject, approval.rule.named, approval.deadline)])
    return approval


def _row(tx: Transaction, tenant: Tenant, new: NewApproval, trail: Trail, actor: Actor) -> dict[str, Any]:
    author = author_aliases(trail.git_author, trail.git_author_email)
    return {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "trail_id": trail.id,
        "flow_id": trail.flow_id,
        "digest": new.digest,
        "environment_id": new.environment_id,
        "rule": new.rule.to_json(),
        "comments": new.comments,
        "newest_commit": new.newest_commit,
        "oldest_commit": new.oldest_commit,
        "requested_by": actor.principal_id,
        "requester": new.requester,
        "claimed_by": new.claimed_by,
        "author": list(author),
        "deadline": new.deadline,
        "created_at": tx.now,
        "named": sorted(new.rule.marks),
        "barred": sorted(barred_by(new.rule, new.requester, author)),
        "status": ApprovalStatus.PENDING_APPROVAL.value,
        "overridden": False,
        "resolved_at": None,
        "remind_at": reminder_at(tx.now, new.deadline),
    }


async def _check_digest(tx: Transaction, tenant: Tenant, new: NewApproval) -> None:
    if new.digest is None:
        return
    reported = await candidates_of(tx, tenant, [new.trail_id])
    if new.digest not in {one.digest for one in reported[new.trail_id]}:
        raise Invalid.of("artifactSha256", f"is not reported on the trail {new.trail_id}")


async def _environment_id(tx: Transaction, tenant: Tenant, new: NewApproval) -> UUID | None:
    name = new.environment_name
    if new.environment_id is None:
        environment = await only_environment(tx, tenant, [name] if name else [])
        return environment.id if environment else None
    found = await get_environment(tx, tenant, new.environment_id)
    if name not in (None, found.name, str(found.id)):
        raise Invalid.of("targetEnvironment", "is not the environment of environmentId; give one of them")
    return found.id


async def decide_approval(
    tx: Transaction, tenant: Tenant, approval_id: UUID, new: NewDecision, actor: Actor
) -> ApprovalOutcome | None:
    """Decide an approval; return how it ended, if that ends it.

    The trail has to be locked before, and its facts have to learn of the outcome in the same transaction. Of two
    decisions at once, the second finds what the first one left. Raises NotFound, Forbidden for somebody who may not
    decide, and Conflict when it is decided or expired, or for a second decision of the same person.
    """
    approval = await hold_approval(tx, tenant, approval_id)
    check_open(approval, tx.now)
    before = (await decisions_of(tx, tenant, [approval_id])).get(approval_id, ())
    if not new.overrides:
        check_decider(approval, new.decider)
        check_first(approval, new.decider, before)
    decision = await _record(tx, tenant, approval, new, actor)
    ended = resolution(approval.rule, [*before, decision])
    if ended is None:
        return None
    at = later_than(await last_resolved_at(tx, approval.trail_id), tx.now)  # the newest outcome of a trail counts
    await tx.execute(_RESOLVE, approval_id, ended.value, new.overrides, at)
    await _notify(tx, tenant, approval, decision)
    roles = roles_of(approval.rule, [*before, decision])
    return ApprovalOutcome(approval.id, approval.trail_id, ended, approval.digest, approval.environment_id, roles, at)


_RESOLVE = "UPDATE approvals SET status = $2, overridden = $3, resolved_at = $4, remind_at = NULL WHERE id = $1"


async def _record(tx: Transaction, tenant: Tenant, approval: Approval, new: NewDecision, actor: Actor) -> Decision:
    row = {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "approval_id": approval.id,
        "decider": new.decider.key,
        "resolution": new.resolution.value,
        "overrides": new.overrides,
        "comments": new.comments,
        "meets": sorted(approval.rule.marks & new.decider.marks),
        "roles": list(new.decider.roles_for(approval.rule)),
        "decided_by": actor.principal_id,
        "claimed_by": new.claimed_by,
        "created_at": tx.now,
    }
    await insert(tx, "approval_decisions", row)
    about = {"trail_id": approval.trail_id, "digest": approval.digest, "environment_id": approval.environment_id}
    await append(tx, tenant, [_event(_name_of(new), actor, APPROVAL_DECISION, row, {**row, **about})])
    made = (await decisions_of(tx, tenant, [approval.id]))[approval.id]
    return next(one for one in made if one.id == row["id"])  # not the last one: it may have waited for its turn


def _name_of(new: NewDecision) -> AuditName:
    if new.overrides:
        return AuditName.APPROVAL_OVERRIDDEN
    granted = new.resolution is Resolution.APPROVED
    return AuditName.APPROVAL_GRANTED if granted else AuditName.APPROVAL_REJECTED


async def _notify(tx: Transaction, tenant: Tenant, approval: Approval, decision: Decision) -> None:
    if decision.resolution is Resolution.APPROVED and not decision.overrides:
        return
    [subject] = await subjects_of(tx, tenant, [approval])
    if decision.overrides:
        notice = break_glass_used(subject, decision.name, decision.comments or "")
    else:
        notice = approval_rejected(subject, decision.name, decision.comments)
    await raise_notices(tx, tenant, [notice])


def _event(name: AuditName, actor: Actor, form: RecordForm, row: Row, about: dict[str, Any]) -> Event:
    environment_id = about["environment_id"]
    payload = {
        "approvalId": str(about.get("approval_id", row["id"])),
        "trailId": str(about["trail_id"]),
        "artifactSha256": about["digest"],
        "environmentId": str(environment_id) if environment_id else None,
        **{shown: row[column] for column, shown in _SHOWN.items() if column in row},
    }
    return Event(
        name,
        actor,
        form,
        row,
        payload,
        trail_id=about["trail_id"],
        environment_id=environment_id,
        digest=about["digest"],
    )


_SHOWN = {"deadline": "deadline", "rule": "rule", "comments": "comments", "resolution": "decision"}
"""Columns that the audit shows, with their names there."""
