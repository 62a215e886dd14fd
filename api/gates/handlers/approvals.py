"""Handlers of approvals."""

from typing import Protocol
from uuid import UUID

from api.gates.schemas.approvals import (
    ApprovalDetailsOut,
    ApprovalIn,
    ApprovalOut,
    ApprovalsQuery,
    BreakGlassIn,
    GrantIn,
    RejectionIn,
)
from api.http.calls import Call, Reply
from api.http.dry_runs import Created, DryRun, created
from api.http.paging import ListQuery, list_reply
from domain.errors import Forbidden
from domain.gates.approvals import Approval, ApprovalStatus, Decider, NewDecision
from domain.identity.permissions import Permission
from storage.database import Reader
from storage.facts.commands.approval_outcomes import record_outcome
from storage.facts.commands.status import lock_trails
from storage.gates.commands import approvals as commands
from storage.gates.queries import approvals as queries
from storage.gates.queries.approvers import decider_of, possible_approvers
from storage.paging import Page


async def request_approval(
    call: Call, trail_id: UUID, body: ApprovalIn, dry_run: DryRun = False
) -> Created[ApprovalOut]:
    """Request an approval of a trail.

    People are notified at once, and once more when a fifth of the time until the deadline is left. `allowRequester` and
    `allowAuthor` need the permission `approvals:override`, for they let somebody approve their own work.
    """
    if (body.allow_requester or body.allow_author) and not call.caller.may(Permission.APPROVALS_OVERRIDE):
        raise Forbidden(f"allowRequester and allowAuthor need the permission {Permission.APPROVALS_OVERRIDE.value}.")
    async with call.transaction(dry_run=dry_run) as tx:
        requester = await decider_of(tx, call.caller, body.requested_by)
        new = body.to_command(trail_id, requester)
        approval = await commands.request_approval(tx, call.tenant, new, call.actor)
        [shown] = await queries.with_decisions(tx, call.tenant, [approval])
    return created(ApprovalOut.of(shown, call), dry_run=dry_run)


async def list_trail_approvals(call: Call, trail_id: UUID, query: ListQuery) -> Reply[list[ApprovalOut]]:
    """List the approvals of a trail, oldest first."""
    async with call.read() as reader:
        page = await queries.list_trail_approvals(reader, call.tenant, trail_id, query.window())
        return await _listed(call, reader, page)


async def list_approvals(call: Call, query: ApprovalsQuery) -> Reply[list[ApprovalOut]]:
    """List the approvals, oldest first.

    With `mine=true`, those that the caller may decide now and has not decided yet.
    """
    window, now = query.window(), call.services.clock.now()
    if query.mine and not call.caller.may(Permission.APPROVALS_DECIDE):
        return list_reply(call, Page([], 0, window), ApprovalOut)
    async with call.read() as reader:
        decider = await decider_of(reader, call.caller, None) if query.mine else None
        page = await queries.list_approvals(reader, call.tenant, window, now, decider=decider, **query.to_filters())
        return await _listed(call, reader, page)


async def list_break_glass_approvals(call: Call, query: ListQuery) -> Reply[list[ApprovalOut]]:
    """List the approvals that somebody granted without those who have to approve, the newest first."""
    async with call.read() as reader:
        page = await queries.list_overridden(reader, call.tenant, query.window(descending=True))
        return await _listed(call, reader, page)


async def _listed(call: Call, reader: Reader, page: Page[Approval]) -> Reply[list[ApprovalOut]]:
    shown = await queries.with_decisions(reader, call.tenant, page.items)
    return list_reply(call, page.with_items(shown), ApprovalOut)


async def get_approval(call: Call, approval_id: UUID) -> ApprovalDetailsOut:
    """Get an approval, with those who may decide it."""
    async with call.read() as reader:
        approval = await queries.get_approval(reader, call.tenant, approval_id)
        [shown] = await queries.with_decisions(reader, call.tenant, [approval])
        approvers = []
        if approval.status_at(call.services.clock.now()) is ApprovalStatus.PENDING_APPROVAL:
            approvers = await possible_approvers(
                reader,
                call.tenant,
                approval.rule,
                requester=approval.requester,
                author=approval.author,
                decided=[one.decider for one in shown.decisions],
            )
    return ApprovalDetailsOut.detailed(shown, approvers, call)


async def grant_approval(
    call: Call, approval_id: UUID, body: GrantIn | None = None, dry_run: DryRun = False
) -> Created[ApprovalOut]:
    """Approve.

    The approval is granted when all have approved who have to, and its trail is judged again at once. The caller needs
    to be somebody whom its rule admits: neither the requester nor the author of the commit, unless they are allowed to.
    """
    return await _decided(call, approval_id, body or GrantIn(), dry_run=dry_run)


async def reject_approval(
    call: Call, approval_id: UUID, body: RejectionIn | None = None, dry_run: DryRun = False
) -> Created[ApprovalOut]:
    """Reject an approval, which ends it.

    Whoever may approve may reject. If the flow requires approval, the trail becomes NON_COMPLIANT.
    """
    return await _decided(call, approval_id, body or RejectionIn(), dry_run=dry_run)


async def override_approval(
    call: Call, approval_id: UUID, body: BreakGlassIn, dry_run: DryRun = False
) -> Created[ApprovalOut]:
    """Break the glass: grant an approval without those who have to approve.

    It needs a reason. Everybody is notified who listens to BREAK_GLASS_USED, and it is listed for good.
    """
    return await _decided(call, approval_id, body, dry_run=dry_run)


class _DecisionBody(Protocol):
    approver_identity: str | None

    def to_command(self, decider: Decider) -> NewDecision: ...


async def _decided(call: Call, approval_id: UUID, body: _DecisionBody, *, dry_run: bool) -> Created[ApprovalOut]:
    """Decide, and let the trail know if that ends the approval, in one transaction."""
    tenant = call.tenant
    async with call.transaction(dry_run=dry_run) as tx:
        approval = await queries.get_approval(tx, tenant, approval_id)
        trails = await lock_trails(tx, tenant, [approval.trail_id])  # before the approval, as whoever reports facts
        new = body.to_command(await decider_of(tx, call.caller, body.approver_identity))
        outcome = await commands.decide_approval(tx, tenant, approval_id, new, call.actor)
        if outcome is not None:
            await record_outcome(tx, tenant, trails, outcome, call.actor)
        [shown] = await queries.with_decisions(tx, tenant, [await queries.get_approval(tx, tenant, approval_id)])
    return created(ApprovalOut.of(shown, call), dry_run=dry_run)
