"""Approvals as the handlers compose them: requested, decided, and their trail told."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.facts.approvals import ApprovalOutcome, Resolution
from domain.gates.approvals import Approval, ApprovalRule, Decider, NewApproval, NewDecision
from storage.database import Transaction
from storage.facts.commands.approval_outcomes import record_outcome
from storage.facts.commands.status import lock_trails
from storage.gates.commands.approvals import decide_approval, request_approval
from storage.gates.queries.approvals import get_approval
from tests.storage.world import World

ANYBODY = ApprovalRule()


def person(name: str, role: str = "member", groups: Collection[str] = ()) -> Decider:
    return Decider(name, frozenset({name}), frozenset({name}), role, frozenset(groups))


async def decided(
    tx: Transaction,
    world: World,
    approval: Approval,
    decider: Decider,
    how: Resolution = Resolution.APPROVED,
    **fields: Any,
) -> ApprovalOutcome | None:
    """Decide within a transaction."""
    trails = await lock_trails(tx, world.tenant, [approval.trail_id])
    new = NewDecision(decider, how, **fields)
    outcome = await decide_approval(tx, world.tenant, approval.id, new, world.actor)
    if outcome is not None:
        await record_outcome(tx, world.tenant, trails, outcome, world.actor)
    return outcome


async def decide(world: World, approval: Approval, decider: Decider, *how: Resolution, **fields: Any) -> None:
    async with world.services.database.transaction() as tx:
        await decided(tx, world, approval, decider, *how, **fields)


async def ask(
    world: World, trail_id: UUID, rule: ApprovalRule = ANYBODY, *, deadline: datetime | None = None, **fields: Any
) -> Approval:
    """An approval that somebody called eve requests."""
    async with world.services.database.transaction() as tx:
        new = NewApproval(trail_id, "eve", rule, deadline=deadline, **fields)
        return await request_approval(tx, world.tenant, new, world.actor)


async def known(world: World, approval: Approval) -> Approval:
    async with world.services.database.read() as reader:
        return await get_approval(reader, world.tenant, approval.id)
