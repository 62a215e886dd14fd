"""The sweep of approvals: people are reminded once, and what nobody decides expires once, told and sealed."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.errors import Conflict
from domain.gates.approvals import ApprovalRule, ApprovalStatus
from domain.notifications.triggers import Trigger
from storage.gates.rebuild import rebuild_approvals
from storage.services import Services
from tests.storage import sealing
from tests.storage.gates.deciding import ask, decide, known, person
from tests.storage.shifted import later
from tests.storage.world import World
from workers.gates.approvals import check_approvals
from workers.overdue import BATCH
from workers.seal import Sealer

HOUR = timedelta(hours=1)
BOB = person("bob")


@pytest.fixture
async def world(own_services: Services) -> World:
    found = await World.founded(own_services)
    for trigger in (Trigger.APPROVAL_REQUIRED, Trigger.APPROVAL_REJECTED):
        await found.rule(trigger=trigger)
    return found


def in_an_hour(world: World) -> datetime:
    return world.services.clock.now() + HOUR


async def told(world: World) -> list[tuple[str, str]]:
    """The triggers and severities of what people were told, in order."""
    sql = "SELECT payload FROM messages WHERE org_id = $1 ORDER BY created_at, id"
    async with world.services.database.read() as reader:
        payloads = [row["payload"] for row in await reader.rows(sql, world.tenant.org_id)]
    return [(one["triggerEvent"], one["severity"]) for one in payloads]


async def events(world: World) -> list[str]:
    sql = "SELECT name FROM audit_events WHERE org_id = $1 AND name LIKE 'approval.%' ORDER BY occurred_at, id"
    async with world.services.database.read() as reader:
        return [row["name"] for row in await reader.rows(sql, world.tenant.org_id)]


async def test_people_are_reminded_once_and_told_once_that_it_is_over(world: World) -> None:
    trail = await world.trail(await world.flow(requires_approval=True))
    approval = await ask(world, trail.id, ApprovalRule(("ada@example.com",)), deadline=in_an_hour(world))
    asked, reminded = ("APPROVAL_REQUIRED", "INFO"), ("APPROVAL_REQUIRED", "WARNING")
    await check_approvals(later(world.services, 0.79 * HOUR))
    assert await told(world) == [asked]
    for _ in range(2):
        await check_approvals(later(world.services, 0.81 * HOUR))
    assert await told(world) == [asked, reminded]
    assert (await known(world, approval)).status is ApprovalStatus.PENDING_APPROVAL
    for _ in range(2):
        await check_approvals(later(world.services, HOUR))
    assert await told(world) == [asked, reminded, ("APPROVAL_REJECTED", "WARNING")]
    expired = await known(world, approval)
    assert (expired.status, expired.resolved_at) == (ApprovalStatus.EXPIRED, approval.deadline)
    assert await events(world) == ["approval.requested", "approval.expired"]
    await Sealer()(world.services)
    async with world.services.database.snapshot() as reader:
        assert (await sealing.inspected(world.services, reader, world.tenant.org_id)).findings == []


async def test_what_is_decided_in_time_neither_reminds_nor_expires(world: World) -> None:
    trail = await world.trail(await world.flow())
    approval = await ask(world, trail.id, deadline=in_an_hour(world))
    await ask(world, trail.id)
    await decide(world, approval, BOB)
    await check_approvals(later(world.services, 2 * HOUR))
    assert await told(world) == [("APPROVAL_REQUIRED", "INFO")] * 2
    assert (await known(world, approval)).status is ApprovalStatus.APPROVED


async def test_after_the_deadline_nobody_decides_although_no_sweep_came(world: World) -> None:
    trail = await world.trail(await world.flow())
    approval = await ask(world, trail.id, deadline=in_an_hour(world))
    late = World(later(world.services, HOUR), world.tenant, world.actor)
    assert (await known(late, approval)).status_at(late.services.clock.now()) is ApprovalStatus.EXPIRED
    for overrides in (False, True):
        with pytest.raises(Conflict, match="expired"):
            await decide(late, approval, BOB, overrides=overrides)


async def test_of_a_decision_and_the_sweep_one_wins(world: World) -> None:
    """Each decision is made just before the deadline, while the sweep runs just after it."""
    trail = await world.trail(await world.flow(requires_approval=True))
    late, deadline = later(world.services, HOUR + timedelta(seconds=30)), in_an_hour(world)
    approvals = [await ask(world, trail.id, deadline=deadline) for _ in range(8)]
    decisions: list[Any] = [decide(world, one, BOB) for one in approvals]
    found = await asyncio.gather(*decisions, check_approvals(late), return_exceptions=True)
    await check_approvals(late)
    for approval, outcome in zip(approvals, found, strict=False):
        expected = ApprovalStatus.EXPIRED if isinstance(outcome, Conflict) else ApprovalStatus.APPROVED
        assert (await known(world, approval)).status is expected
        assert outcome is None or isinstance(outcome, Conflict)
    names = await events(world)
    assert names.count("approval.granted") + names.count("approval.expired") == len(approvals)
    assert names.count("approval.resolved") == names.count("approval.granted")


async def test_many_expire_in_batches(world: World) -> None:
    trail = await world.trail(await world.flow())
    async with world.services.database.transaction() as tx:
        await tx.execute("DELETE FROM notification_rules WHERE org_id = $1", world.tenant.org_id)
    approvals = [await ask(world, trail.id, deadline=in_an_hour(world)) for _ in range(BATCH + 5)]
    await check_approvals(later(world.services, HOUR))
    statuses = {(await known(world, one)).status for one in (approvals[0], approvals[-1])}
    assert statuses == {ApprovalStatus.EXPIRED}
    assert (await events(world)).count("approval.expired") == BATCH + 5


async def test_what_became_of_approvals_is_rebuilt(world: World) -> None:
    trail = await world.trail(await world.flow())
    for how in ("approved", "overridden", "expired", "pending"):
        approval = await ask(world, trail.id, deadline=in_an_hour(world))
        if how in {"approved", "overridden"}:
            await decide(world, approval, BOB, overrides=how == "overridden")
        if how == "expired":
            await check_approvals(later(world.services, 2 * HOUR))
    sql = "SELECT status, overridden, resolved_at FROM approvals WHERE org_id = $1 ORDER BY created_at"
    async with world.services.database.transaction() as tx:
        before = await tx.rows(sql, world.tenant.org_id)
        await tx.execute(
            "UPDATE approvals SET status = 'REJECTED', overridden = NOT overridden, resolved_at = now() "
            "WHERE org_id = $1",
            world.tenant.org_id,
        )
    steps = [step async for step in rebuild_approvals(world.services.database, world.tenant)]
    again = [step async for step in rebuild_approvals(world.services.database, world.tenant)]
    async with world.services.database.read() as reader:
        assert await reader.rows(sql, world.tenant.org_id) == before
    assert [(one[-1].seen, one[-1].mended) for one in (steps, again)] == [(4, 4), (4, 0)]
    assert [row["status"] for row in before] == ["APPROVED", "APPROVED", "EXPIRED", "PENDING_APPROVAL"]
