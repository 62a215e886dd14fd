"""Claiming messages: fair, in order per subject, leased, one at a time where the circuit is open."""

import asyncio
from collections import defaultdict
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from domain.notifications.deliveries import OPEN_AFTER
from domain.retries import ErrorClass
from storage.notifications.commands.rules import archive_rule
from storage.outbox.claims import MAX_RUN, ClaimRequest, claim, give_back
from storage.outbox.commands import NewMessage, enqueue
from storage.services import Services
from tests.journeys.waiting import eventually
from tests.storage.outbox.letters import (
    LEASE,
    condition,
    destination,
    hasten,
    message,
    post,
    settled,
    settling,
    take,
)
from tests.storage.world import World


@pytest.fixture
async def world(own_services: Services) -> World:
    return await World.founded(own_services)


async def test_what_is_due_is_leased_once_with_all_the_relay_needs(world: World) -> None:
    where = await destination(world)
    [one] = await post(world, where, "a")
    taken = await take(world.services)
    [claimed] = taken.messages
    assert (claimed.id, claimed.destination_id, claimed.attempts) == (one, where, 1)
    assert (claimed.org_slug, claimed.payload, claimed.channel) == (world.tenant.org_slug, {"title": "a"}, "WEBHOOK")
    assert (await take(world.services)).ids == []


async def test_a_lease_that_runs_out_makes_it_due_again(world: World) -> None:
    await post(world, await destination(world), "a")
    first = await take(world.services)
    async with world.services.database.transaction() as tx:
        await tx.execute("UPDATE outbox SET due_at = $1", tx.now)
    again = await take(world.services)
    assert again.ids == first.ids
    assert again.messages[0].attempts == 2
    await settled(world.services, first)  # whoever lost the lease cannot settle what another one holds
    assert (await message(world, first.ids[0])).status == "PENDING"


async def test_messages_of_one_subject_wait_for_the_one_before(world: World) -> None:
    where = await destination(world)
    [first] = await post(world, where, "trail:1")
    taken = await take(world.services)
    [second, other] = await post(world, where, "trail:1", "trail:2")
    assert (await take(world.services)).ids == [other]
    await settled(world.services, taken)
    assert taken.ids == [first]
    assert (await take(world.services)).ids == [second]  # called back by the settling of the first, without a wait


async def test_a_subject_comes_in_order_and_leaves_room_for_others(world: World) -> None:
    where = await destination(world)
    ids = await post(world, where, *["trail:1"] * (MAX_RUN + 3))
    [other] = await post(world, where, "trail:2")
    first = await take(world.services)
    assert first.ids == [*ids[:MAX_RUN], other]
    assert (await take(world.services)).ids == []
    await settled(world.services, first)
    assert (await take(world.services)).ids == ids[MAX_RUN:]  # called back at once, and so are those behind it


async def test_a_share_is_not_exceeded_by_what_waits_behind_what_is_due(world: World) -> None:
    where = await destination(world)
    subjects = ["a", "b", "c"]
    await post(world, where, *subjects * 5)
    [tried, *_] = (await take(world.services, each=7)).messages
    assert tried.subject == "a"
    async with world.services.database.read() as reader:
        rows = await reader.rows("SELECT subject, claim_id IS NOT NULL AS leased FROM outbox ORDER BY message_id")
    assert [row["leased"] for row in rows if row["subject"] == "a"] == [True] * 5
    assert [row["leased"] for row in rows if row["subject"] == "b"] == [True, True, False, False, False]
    assert not any(row["leased"] for row in rows if row["subject"] == "c")


async def test_what_waits_behind_a_lease_is_postponed_in_one_claim(world: World) -> None:
    where = await destination(world)
    await post(world, where, *["long"] * 500)
    assert (await take(world.services, each=4)).ids != []
    [other] = await post(world, where, "short")
    found = await take(world.services, each=4)
    assert (found.ids, found.more) == ([], True)  # those in front of it are postponed now
    assert (await take(world.services, each=4)).ids == [other]


async def test_what_comes_while_the_one_before_is_being_settled_does_not_wait_for_a_lease(world: World) -> None:
    where = await destination(world)
    await post(world, where, "trail:1")
    taken = await take(world.services)
    async with settling(world.services, taken):
        [second] = await post(world, where, "trail:1")
        assert (await take(world.services)).ids == []
    assert (await take(world.services)).ids == [second]


async def test_what_a_claim_is_postponing_is_called_back_by_whoever_settles_the_one_before(world: World) -> None:
    where = await destination(world)
    await post(world, where, "trail:1")
    taken = await take(world.services)
    [second] = await post(world, where, "trail:1")
    async with world.services.database.transaction() as tx:
        assert (await claim(tx, ClaimRequest(uuid4(), 100, 100, LEASE))).more
        settlement = asyncio.create_task(settled(world.services, taken))
        await eventually(lambda: waits_for_a_lock(world.services), 10, "the settlement behind the claim")
    await settlement
    assert (await take(world.services)).ids == [second]


async def waits_for_a_lock(services: Services) -> bool:
    async with services.database.read() as reader:
        return bool(await reader.value("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"))


async def test_two_claims_at_once_never_part_the_messages_of_a_subject(world: World) -> None:
    where = await destination(world)
    ids = await post(world, where, *["a", "b", "c", "d"] * 100)
    sent: dict[str, list[UUID]] = defaultdict(list)

    async def work() -> None:
        while len(sent["a"] + sent["b"] + sent["c"] + sent["d"]) < len(ids):
            taken = await take(world.services, each=24)
            for one in taken.messages:
                sent[one.subject].append(one.id)
            if taken.messages:
                await settled(world.services, taken)

    await asyncio.wait_for(asyncio.gather(*(work() for _ in range(4))), 30)
    assert sorted(one for of in sent.values() for one in of) == ids
    assert all(of == sorted(of) for of in sent.values())


async def test_what_waits_behind_the_message_of_a_deleted_rule_does_not_wait_for_its_retry(world: World) -> None:
    issued = await world.rule()
    where, rule = issued.rule.destination_id, issued.rule
    new = NewMessage(where, "WEBHOOK", "ATTESTATION_FAILED", "trail:1", {"title": "first"}, rule_id=rule.id)
    async with world.services.database.transaction() as tx:
        await enqueue(tx, world.tenant, [new])
    await settled(world.services, await take(world.services), ErrorClass.TRANSIENT, wait=timedelta(hours=5))
    [second] = await post(world, where, "trail:1")
    assert (await take(world.services)).ids == []
    async with world.services.database.transaction() as tx:
        await archive_rule(tx, world.tenant, rule.id, world.actor)
    assert (await take(world.services)).ids == [second]


async def test_what_is_behind_a_put_off_message_is_put_off_until_then(world: World) -> None:
    where = await destination(world)
    await post(world, where, "trail:1")
    await settled(world.services, await take(world.services), ErrorClass.TRANSIENT, wait=timedelta(minutes=5))
    [second] = await post(world, where, "trail:1")
    assert (await take(world.services)).ids == []
    waits = await message(world, second)
    assert waits.due_at is not None
    assert waits.due_at - world.services.clock.now() > timedelta(minutes=4)
    await hasten(world)
    assert (await take(world.services)).ids[1:] == [second]


async def test_a_long_queue_of_one_subject_cannot_starve_the_rest(world: World) -> None:
    where = await destination(world)
    [head] = await post(world, where, "stuck")
    await settled(world.services, await take(world.services), ErrorClass.TRANSIENT, wait=timedelta(minutes=5))
    await post(world, where, *["stuck"] * 50)
    [free] = await post(world, where, "free")
    found = [one for _ in range(6) for one in (await take(world.services, limit=10, each=10)).ids]
    assert found == [free]
    assert head not in found


async def test_every_organisation_and_destination_gets_its_share(world: World) -> None:
    loud, quiet = world, await World.founded(world.services)
    first, second = await destination(loud, "https://a.example"), await destination(loud, "https://b.example")
    await post(loud, first, *map(str, range(100)))
    await post(loud, second, *map(str, range(100)))
    lonely = await post(quiet, await destination(quiet), "x", "y")
    taken = await take(world.services, limit=40)
    by_destination = [m.destination_id for m in taken.messages]
    assert set(lonely) <= set(taken.ids)
    assert by_destination.count(first) == by_destination.count(second) == 10


async def test_one_destination_gets_no_more_than_a_parcel_and_busy_ones_nothing(world: World) -> None:
    where = await destination(world)
    await post(world, where, *map(str, range(30)))
    assert (await take(world.services, busy=[where])).ids == []
    assert len((await take(world.services, each=8)).ids) == 8


async def test_an_open_circuit_lets_one_try_until_it_is_settled(world: World) -> None:
    where = await destination(world)
    await post(world, where, *map(str, range(OPEN_AFTER + 3)))
    first = await take(world.services, each=OPEN_AFTER)
    await settled(world.services, first, ErrorClass.TRANSIENT, wait=timedelta(seconds=5))
    assert (await take(world.services)).ids == []  # it rests
    await hasten(world)
    probe = await take(world.services)
    assert len(probe.ids) == 1
    assert (await take(world.services)).ids == []  # nobody else probes meanwhile
    await settled(world.services, probe)
    assert (await condition(world, where)).failures == 0
    assert len((await take(world.services)).ids) == OPEN_AFTER + 2  # what was put off is due at once


async def test_what_was_not_tried_is_given_back_and_no_attempt_counts(world: World) -> None:
    [one] = await post(world, await destination(world), "a")
    taken = await take(world.services)
    async with world.services.database.transaction() as tx:
        await give_back(tx, taken.claim_id, {one: tx.now})
    assert [m.attempts for m in (await take(world.services)).messages] == [1]
