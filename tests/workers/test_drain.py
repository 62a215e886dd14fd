"""From accepted deliveries to facts, in process, over a database of the test's own."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from domain.facts.trails import TrailStatus
from domain.facts.webhook_configs import WebhookConfig
from domain.identity.quotas import PERIODS, Quota
from storage.facts.queries.attestations import list_attestations
from storage.facts.queries.trails import get_trail, list_trails
from storage.identity.commands.quotas import set_limits
from storage.inbox.commands import Arrival, Done, LostLease, claim, finish, replay
from storage.inbox.queries import DeliveryRow, backlog, dead_letters, get_delivery
from storage.paging import Window
from storage.services import Services
from tests.storage.shifted import later
from tests.storage.world import World
from workers.drain import MAX_LOGGED, drain, drain_batch


async def settled(world: World, receipt_id: UUID) -> DeliveryRow:
    await drain(world.services)
    async with world.services.database.read() as reader:
        return await get_delivery(reader, world.tenant, receipt_id)


def generic(world: World, config: WebhookConfig, **fields: object) -> Arrival:
    body = json.dumps(fields).encode()
    return Arrival(world.tenant.org_id, config.id, "GENERIC", uuid4().hex, None, {}, body, sha256(body).digest())


@pytest.fixture
async def world(own_services: Services) -> World:
    return await World.founded(own_services)


async def test_a_run_that_passed_becomes_a_compliant_trail(world: World) -> None:
    flow = await world.flow("BUILD")
    config = await world.config(flow)
    [receipt] = await world.deliver(world.arrival(config, "d1"))
    delivery = await settled(world, receipt.id)
    assert (delivery.status, delivery.event_type) == ("SUCCESS", "build.succeeded")
    assert delivery.trail_id is not None
    async with world.services.database.read() as reader:
        trail = await get_trail(reader, world.tenant, delivery.trail_id)
        page = await list_attestations(reader, world.tenant, delivery.trail_id, Window(10))
    assert trail.status == TrailStatus.COMPLIANT
    assert trail.flow_id == flow.id
    [attestation] = page.items
    assert (attestation.type, attestation.status, attestation.source_id) == ("BUILD", "PASSED", receipt.id)
    assert attestation.claimed_by == "ada-byron"


async def test_one_trail_for_all_that_is_said_of_a_commit(world: World) -> None:
    config = await world.config(await world.flow())
    commit = "a" * 40
    arrivals = [world.arrival(config, f"d{n}", commit) for n in range(5)]
    receipts = await world.deliver(*arrivals)
    await drain(world.services)
    async with world.services.database.read() as reader:
        trails = {(await get_delivery(reader, world.tenant, receipt.id)).trail_id for receipt in receipts}
    assert len(trails) == 1


async def test_the_newest_trail_of_a_commit_is_found_whoever_opened_it(world: World) -> None:
    flow = await world.flow()
    config = await world.config(flow)
    by_api = await world.trail(flow)
    [receipt] = await world.deliver(world.arrival(config, "d", by_api.git_commit_sha))
    assert (await settled(world, receipt.id)).trail_id == by_api.id


async def test_two_drains_at_once_open_one_trail_and_record_each_delivery_once(world: World) -> None:
    flow = await world.flow()
    config = await world.config(flow)
    receipts = await world.deliver(*(world.arrival(config, f"d{n}", f"{n % 3:040x}") for n in range(60)))
    services = replace(world.services, settings=world.services.settings.model_copy(update={"drain_batch": 7}))
    await asyncio.gather(drain(services), drain(services), drain(services))
    async with world.services.database.read() as reader:
        page = await list_trails(reader, world.tenant, Window(100), flow_id=flow.id)
        statuses = {(await get_delivery(reader, world.tenant, receipt.id)).status for receipt in receipts}
        counted = await reader.value("SELECT count(*) FROM attestations WHERE org_id = $1", world.tenant.org_id)
    assert page.total == 3
    assert statuses == {"SUCCESS"}
    assert counted == 60


async def test_a_copy_answers_the_first_receipt_and_is_counted(world: World) -> None:
    config = await world.config(await world.flow())
    arrival = world.arrival(config, "same")
    first, second = await world.deliver(arrival, arrival)
    [third] = await world.deliver(arrival)
    assert first.id == second.id == third.id
    assert [first.fresh, second.fresh, third.fresh] == [True, False, False]
    delivery = await settled(world, first.id)
    assert (delivery.status, delivery.duplicates) == ("SUCCESS", 2)


async def test_a_poisonous_delivery_dies_alone_and_its_redelivery_brings_it_back(world: World) -> None:
    config = await world.config(await world.flow())
    bad = world.arrival(config, "bad", body=b'{"action": 7}')
    receipts = await world.deliver(world.arrival(config, "good-1"), bad, world.arrival(config, "good-2"))
    await drain(world.services)
    async with world.services.database.read() as reader:
        found = [await get_delivery(reader, world.tenant, receipt.id) for receipt in receipts]
        dead = await dead_letters(reader, 10)
    assert [one.status for one in found] == ["SUCCESS", "FAILED", "SUCCESS"]
    assert found[1].status_message
    assert [one.id for one in dead] == [receipts[1].id]
    [again] = await world.deliver(world.arrival(config, "bad"))
    assert again.id == receipts[1].id
    mended = await settled(world, again.id)
    assert (mended.status, mended.duplicates, mended.error) == ("SUCCESS", 1, None)


async def test_the_log_names_the_receipts_that_failed_and_no_others(world: World) -> None:
    config = await world.config(await world.flow())
    bad = [world.arrival(config, f"bad-{n}", body=b'{"action": 7}') for n in range(MAX_LOGGED + 1)]
    good, *receipts = await world.deliver(world.arrival(config, "good"), *bad)
    with capture_logs() as logs:
        await drain(world.services)
    ours = [log for log in logs if log["event"] == "drain.settled" and log["org"] == world.tenant.org_slug]
    named = [one for log in ours for one in log["failed_receipts"]]
    assert len(named) == MAX_LOGGED
    assert set(named) <= {str(receipt.id) for receipt in receipts}
    assert str(good.id) not in named


async def test_a_dead_letter_is_replayed_after_its_cause_is_mended(world: World) -> None:
    flow = await world.flow()
    config = await world.config(flow)
    [receipt] = await world.deliver(world.arrival(config, "d"))
    async with world.services.database.transaction() as tx:
        await tx.execute("UPDATE flows SET archived_at = now() WHERE id = $1", flow.id)
    dead = await settled(world, receipt.id)
    assert dead.status == "FAILED"
    assert "NotFound" in (dead.error or "")
    async with world.services.database.transaction() as tx:
        await tx.execute("UPDATE flows SET archived_at = NULL WHERE id = $1", flow.id)
        assert await replay(tx, None, [receipt.id]) == 1
        assert await replay(tx, world.tenant, None) == 0
    assert (await settled(world, receipt.id)).status == "SUCCESS"


async def test_a_generic_event_reports_on_the_trail_it_names(world: World) -> None:
    flow = await world.flow()
    config = await world.config(flow, "GENERIC")
    trail = await world.trail(flow)
    [receipt] = await world.deliver(generic(world, config, eventType="test.failed", trailId=str(trail.id)))
    delivery = await settled(world, receipt.id)
    assert delivery.trail_id == trail.id
    async with world.services.database.read() as reader:
        assert (await get_trail(reader, world.tenant, trail.id)).status == TrailStatus.NON_COMPLIANT


async def test_a_trail_of_another_flow_is_not_reported_on(world: World) -> None:
    config = await world.config(await world.flow(), "GENERIC")
    elsewhere = await world.trail(await world.flow())
    [receipt] = await world.deliver(generic(world, config, eventType="test.passed", trailId=str(elsewhere.id)))
    delivery = await settled(world, receipt.id)
    assert delivery.status == "FAILED"
    assert delivery.status_message is not None
    assert "trailId" in delivery.status_message
    async with world.services.database.read() as reader:
        assert (await get_trail(reader, world.tenant, elsewhere.id)).status == TrailStatus.PENDING


async def test_who_approved_and_who_deployed_is_written_on_the_trail(world: World) -> None:
    flow = await world.flow()
    config = await world.config(flow, "GENERIC")
    trail = await world.trail(flow)
    events = [
        generic(world, config, eventType=event, trailId=str(trail.id), gitAuthor=author)
        for event, author in (("approval.granted", "grace"), ("deployment.triggered", "linus"))
    ]
    await world.deliver(*events)
    await drain(world.services)
    async with world.services.database.read() as reader:
        changed = await get_trail(reader, world.tenant, trail.id)
        told = await reader.value(
            "SELECT count(*) FROM audit_events WHERE record_id = $1 AND name = 'trail.updated'", trail.id
        )
    assert (changed.pull_request_reviewer, changed.deployment_actor, changed.version) == ("grace", "linus", 2)
    assert told == 1


async def test_who_lost_its_lease_writes_nothing(world: World) -> None:
    config = await world.config(await world.flow())
    await world.deliver(world.arrival(config, "d"))
    database = world.services.database
    first, second = uuid4(), uuid4()
    async with database.transaction() as tx:
        [claimed] = await claim(tx, first, 10, timedelta(seconds=-1))  # a lease that has run out already
    async with database.transaction() as tx:
        assert [again.id for again in await claim(tx, second, 10, timedelta(seconds=60))] == [claimed.id]
        assert await claim(tx, uuid4(), 10, timedelta(seconds=60)) == []

    async def finish_under(claim_id: UUID) -> None:
        async with database.transaction() as tx:
            await finish(tx, claim_id, [Done(claimed.id, "x", "done")])

    with pytest.raises(LostLease):
        await finish_under(first)
    await finish_under(second)
    async with database.read() as reader:
        assert (await backlog(reader)).waiting == 0


async def test_a_full_organisation_does_not_keep_another_waiting(world: World) -> None:
    other = await World.founded(world.services)
    busy, quiet = await world.config(await world.flow()), await other.config(await other.flow())
    for start in range(0, 900, 300):
        await world.deliver(*(world.arrival(busy, f"b{n}") for n in range(start, start + 300)))
    [receipt] = await other.deliver(other.arrival(quiet, "q"))
    await drain_batch(world.services)
    async with world.services.database.read() as reader:
        assert (await get_delivery(reader, other.tenant, receipt.id)).status == "SUCCESS"
        assert (await backlog(reader)).waiting > 0


@pytest.mark.parametrize("order", [1, -1], ids=["short first", "whole first"])
@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one after the other"])
async def test_an_abbreviated_commit_and_the_whole_of_it_are_one_trail(
    world: World, order: int, together: bool
) -> None:
    config = await world.config(await world.flow(), "GENERIC")
    whole = "abcdef012345" + "6" * 28
    arrivals = [
        generic(world, config, eventType="build.succeeded", gitCommitSha=commit) for commit in (whole[:12], whole)
    ][::order]
    for batch in [arrivals] if together else [[one] for one in arrivals]:
        await world.deliver(*batch)
        await drain(world.services)
    async with world.services.database.read() as reader:
        assert len((await list_trails(reader, world.tenant, Window(10))).items) == 1


async def test_texts_that_begin_alike_are_no_abbreviations(world: World) -> None:
    config = await world.config(await world.flow(), "GENERIC")
    await world.deliver(
        *(generic(world, config, eventType="build.started", gitCommitSha=text) for text in ("release", "release-2"))
    )
    await drain(world.services)
    async with world.services.database.read() as reader:
        assert len((await list_trails(reader, world.tenant, Window(10))).items) == 2


async def test_deliveries_beyond_the_quota_of_trails_wait_until_it_starts_again(world: World) -> None:
    config = await world.config(await world.flow())
    async with world.services.database.transaction() as tx:
        await set_limits(tx, world.tenant, {Quota.TRAILS_PER_DAY: 1}, world.actor)
    receipts = await world.deliver(*(world.arrival(config, f"d{n}") for n in range(3)))
    await drain(world.services)
    tomorrow = replace(world, services=later(world.services, PERIODS[Quota.TRAILS_PER_DAY].length))
    for now, left in ((world, 2), (tomorrow, 1)):
        await drain(now.services)
        async with world.services.database.read() as reader:
            found = [await get_delivery(reader, world.tenant, receipt.id) for receipt in receipts]
        assert sorted(delivery.status for delivery in found) == ["PENDING"] * left + ["SUCCESS"] * (3 - left)
