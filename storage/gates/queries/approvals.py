"""Reading approvals, with their decisions."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.facts.approvals import Resolution
from domain.gates.approvals import Approval, ApprovalRule, ApprovalStatus, Decider, Decision
from domain.notifications.triggers import ApprovalSubject
from domain.tenant import Tenant
from storage.database import Reader, Transaction
from storage.facts.queries.flows import flow_names
from storage.facts.queries.scoping import limits_on_trail
from storage.facts.queries.trails import get_trail
from storage.gates.queries.approvers import mine
from storage.identity.queries.principals import reporter
from storage.paging import Listing, Page, Window
from storage.rows import columns, from_row

_approval = from_row(Approval, status=ApprovalStatus, rule=ApprovalRule.from_json, author=tuple)
APPROVALS = Listing(
    "approval",
    f"{columns(Approval, prefix='a.', but={'requester_name'})}, {reporter('a.requested_by')} AS requester_name",
    "approvals a",
    _approval,
    alias="a.",
    limits=limits_on_trail("a", flow_id=True),
)
_OVERRIDDEN = replace(APPROVALS, time="resolved_at")
_decision = from_row(Decision, resolution=Resolution, meets=tuple, roles=tuple)
_PRINCIPAL = "coalesce((SELECT username FROM principals w WHERE w.id = d.decided_by AND w.erased_at IS NULL), "
_DECISIONS = f"""
SELECT {columns(Decision, prefix="d.", but={"name", "principal_name"})}, {reporter("d.decided_by")} AS name,
       {_PRINCIPAL} d.decided_by::text) AS principal_name
FROM unnest($2::uuid[]) AS wanted(id) CROSS JOIN LATERAL (
  SELECT * FROM approval_decisions WHERE approval_id = wanted.id OFFSET 0
) d
WHERE d.org_id = $1 ORDER BY d.created_at, d.id
"""
"""One index probe for each approval."""


@dataclass(frozen=True, slots=True)
class DecidedApproval:
    """An approval with the decisions that were made, in their order."""

    approval: Approval
    decisions: Sequence[Decision]


async def get_approval(reader: Reader, tenant: Tenant, approval_id: UUID) -> Approval:
    """Return one approval. Raises NotFound, also for another organisation's and outside the tenant's scopes."""
    return await APPROVALS.get(reader, tenant, approval_id)


async def approvals_with_ids(reader: Reader, tenant: Tenant, ids: Sequence[UUID]) -> list[Approval]:
    """Return approvals by their ids, in the order of the ids."""
    where = APPROVALS.of(tenant).and_("a.id = ANY({}::uuid[])", ids)
    return [
        APPROVALS.make(row)
        for row in await reader.rows(f"{APPROVALS.select} WHERE {where} ORDER BY a.id", *where.values)
    ]


async def hold_approval(tx: Transaction, tenant: Tenant, approval_id: UUID) -> Approval:
    """Return one approval, locked until the transaction ends. Raises NotFound."""
    where = APPROVALS.of(tenant).and_("a.id = {}", approval_id)
    row = await tx.row(f"{APPROVALS.select} WHERE {where} FOR NO KEY UPDATE OF a", *where.values)
    if row is None:
        raise APPROVALS.missing(approval_id)
    return APPROVALS.make(row)


async def subjects_of(reader: Reader, tenant: Tenant, approvals: Sequence[Approval]) -> list[ApprovalSubject]:
    """Return approvals as notices name them, in the same order."""
    flows = await flow_names(reader, tenant, {one.flow_id for one in approvals})
    return [
        ApprovalSubject(
            one.id, one.trail_id, one.flow_id, flows[one.flow_id], one.digest, one.environment_id, one.requester_name
        )
        for one in approvals
    ]


async def list_approvals(
    reader: Reader,
    tenant: Tenant,
    window: Window,
    now: datetime,
    *,
    status: ApprovalStatus | None = None,
    flow_id: UUID | None = None,
    trail_id: UUID | None = None,
    environment_id: UUID | None = None,
    decider: Decider | None = None,
) -> Page[Approval]:
    """List approvals in the direction of the window; with a `decider`, those that wait for a decision of theirs."""
    filters = {"a.flow_id = {}": flow_id, "a.trail_id = {}": trail_id, "a.environment_id = {}": environment_id}
    filters |= _of_status(status, now)
    if decider is not None:
        filters |= {**_of_status(ApprovalStatus.PENDING_APPROVAL, now), **mine(decider)}
    return await APPROVALS.page(reader, tenant, window, filters=filters)


def _of_status(status: ApprovalStatus | None, now: datetime) -> dict[str, Any]:
    """Return the conditions of a status: an approval is EXPIRED from its deadline on, also before that is recorded."""
    match status:
        case ApprovalStatus.PENDING_APPROVAL:
            return {"a.status = {}": status, "coalesce(a.deadline, 'infinity') > {}": now}
        case ApprovalStatus.EXPIRED:
            return {"(a.status = 'EXPIRED' OR a.status = 'PENDING_APPROVAL' AND a.deadline <= {})": now}
    return {"a.status = {}": status}


async def list_trail_approvals(reader: Reader, tenant: Tenant, trail_id: UUID, window: Window) -> Page[Approval]:
    """List the approvals of a trail, oldest first. Raises NotFound for the trail."""
    await get_trail(reader, tenant, trail_id)
    return await APPROVALS.page(reader, tenant.unscoped, window, within={"a.trail_id = {}": trail_id})


async def list_overridden(reader: Reader, tenant: Tenant, window: Window) -> Page[Approval]:
    """List the approvals that somebody granted against their rule, by when, in the direction of the window."""
    return await _OVERRIDDEN.page(reader, tenant, window, within={"a.overridden": None})


async def with_decisions(reader: Reader, tenant: Tenant, approvals: Sequence[Approval]) -> list[DecidedApproval]:
    """Return approvals with their decisions, read with one statement."""
    found = await decisions_of(reader, tenant, [one.id for one in approvals]) if approvals else {}
    return [DecidedApproval(one, found.get(one.id, ())) for one in approvals]


async def decisions_of(
    reader: Reader, tenant: Tenant, approval_ids: Sequence[UUID]
) -> Mapping[UUID, Sequence[Decision]]:
    """Return the decisions of each approval that has any, in their order."""
    found: dict[UUID, list[Decision]] = defaultdict(list)
    for row in await reader.rows(_DECISIONS, tenant.org_id, approval_ids):
        found[row["approval_id"]].append(_decision(row))
    return found
