"""Reading who can mend what the gate blocks for: the people who can approve."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from domain.environments.compliance import ReasonCode
from domain.gates.approvals import ApprovalRule, ApprovalStatus, author_aliases
from domain.gates.evaluation import Evidence
from domain.gates.verdicts import GateInputs
from domain.tenant import Tenant
from storage.database import Reader
from storage.facts.queries.trails import get_trail
from storage.gates.queries.approvals import list_approvals, with_decisions
from storage.gates.queries.approvers import Approver, possible_approvers
from storage.paging import Window

MAX_TRAILS = 5
"""Trails for which approvers are looked up."""
_OF_APPROVALS = frozenset({ReasonCode.APPROVAL_MISSING.value, ReasonCode.APPROVAL_REJECTED.value})


async def approvers_for(
    reader: Reader, tenant: Tenant, inputs: GateInputs, reasons: Sequence[Mapping[str, str | None]]
) -> Mapping[str, Sequence[Approver]]:
    """Return, by trail, those who can approve a deployment that is blocked for want of an approval.

    `reasons` are those of the decision in their stored form. People are those of an approval that was requested for the
    artifact, and else of one that could be.
    """
    blocked = {one["trailId"] for one in reasons if one["code"] in _OF_APPROVALS}
    concerned = [one for one in inputs.known.evidence if str(one.trail_id) in blocked][:MAX_TRAILS]
    environment_id = inputs.known.place.id if inputs.known.place else None
    return {str(one.trail_id): await _approvers(reader, tenant, inputs, one, environment_id) for one in concerned}


async def _approvers(
    reader: Reader, tenant: Tenant, inputs: GateInputs, evidence: Evidence, environment_id: UUID | None
) -> Sequence[Approver]:
    pending = await list_approvals(
        reader,
        tenant.unscoped,
        Window(20, descending=True),
        inputs.at,
        status=ApprovalStatus.PENDING_APPROVAL,
        trail_id=evidence.trail_id,
    )
    digest = evidence.candidate.digest
    for one in pending.items:
        if one.digest in (None, digest) and one.environment_id in (None, environment_id):
            [shown] = await with_decisions(reader, tenant, [one])
            decided = [decision.decider for decision in shown.decisions]
            return await possible_approvers(
                reader, tenant, one.rule, requester=one.requester, author=one.author, decided=decided
            )
    trail = await get_trail(reader, tenant.unscoped, evidence.trail_id)
    author = author_aliases(trail.git_author, trail.git_author_email)
    return await possible_approvers(
        reader, tenant, ApprovalRule().requiring(evidence.asked.approver_roles), author=author
    )
