"""From the outbox to whoever is told, in process, over a database of the test's own and receivers of its own."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web

from domain.facts.trails import TrailStatus
from domain.notifications.rules import Channel
from domain.notifications.triggers import Trigger
from storage.database import Row
from storage.outbox.commands import NewMessage, enqueue
from storage.services import Services, open_services
from tests.conftest import Installation
from tests.journeys.waiting import eventually
from tests.storage.outbox.letters import hasten, message
from tests.storage.world import World
from tests.workers.receiver import Receiver, answering, cutting, receiving, slow
from workers.relay import Relay


@pytest.fixture
async def outgoing_services(own_installation: Installation, tmp_path: Path) -> AsyncIterator[Services]:
    settings = own_installation.settings(tmp_path, outbound_allow="127.0.0.0/8", outbound_timeout=2.0)
    async with open_services(settings, "test") as opened:
        await opened.redis.flushdb()
        yield opened


@pytest.fixture
async def world(outgoing_services: Services) -> World:
    return await World.founded(outgoing_services)


@pytest.fixture
async def relay(outgoing_services: Services) -> AsyncIterator[Relay]:
    async with Relay.opened(outgoing_services) as opened:
        yield opened


async def listened(world: World, receiver: Receiver, **options: Any) -> UUID:
    """A rule that posts failed attestations to the receiver, who knows its secret; the answer is its destination."""
    issued = await world.rule(config={"webhookUrl": receiver.url}, **options)
    receiver.secret = issued.signing_secret
    return issued.rule.destination_id


async def failing(world: World, number: int = 1, trail_id: UUID | None = None) -> UUID:
    """So many failed attestations on one trail, one after the other."""
    trail = trail_id or (await world.trail(await world.flow())).id
    for n in range(number):
        await world.attest(world.attestation(trail, "TEST", "FAILED", name=f"t{n}", details="3 of 7 failed"))
    return trail


async def outbox(world: World) -> list[Row]:
    async with world.services.database.read() as reader:
        return await reader.rows("SELECT m.* FROM messages m ORDER BY m.id")


async def statuses(world: World) -> list[str]:
    return [row["status"] for row in await outbox(world)]


async def notifications(world: World) -> list[Row]:
    async with world.services.database.read() as reader:
        return await reader.rows(
            "SELECT title, message, severity, entity_type FROM notifications WHERE org_id = $1 ORDER BY n",
            world.tenant.org_id,
        )


async def test_a_failed_attestation_reaches_its_receiver_signed_and_once(world: World, relay: Relay) -> None:
    async with receiving() as receiver:
        await listened(world, receiver)
        trail = await failing(world)
        await relay(world.services)
        await relay(world.services)
        [row] = await outbox(world)
        assert receiver.taken == [str(row["id"])]
        [body] = receiver.bodies
    assert (body["type"], body["triggerEvent"], body["severity"]) == (
        "attestation.failed",
        "ATTESTATION_FAILED",
        "WARNING",
    )
    assert (body["title"], body["message"]) == ("Attestation t0 failed", "3 of 7 failed")
    assert body["data"]["trailId"] == str(trail)
    assert (row["status"], row["attempts"]) == ("SENT", 1)


async def test_a_trail_that_falls_is_told_of_once_however_much_fails_on_it(world: World, relay: Relay) -> None:
    await world.rule(Channel.IN_APP, config={}, trigger=Trigger.TRAIL_NON_COMPLIANT)
    trail = await failing(world, 3)
    await relay(world.services)
    [told] = await notifications(world)
    assert (told["severity"], told["entity_type"]) == ("CRITICAL", "TRAIL")
    assert str(trail) in told["message"]
    async with world.services.database.read() as reader:
        status = await reader.value("SELECT status FROM trails WHERE id = $1", trail)
    assert status == TrailStatus.NON_COMPLIANT


async def test_a_result_that_a_processor_finds_is_told_of_as_well(world: World, relay: Relay) -> None:
    await world.rule(Channel.IN_APP, config={})
    trail = await world.trail(await world.flow())
    [attestation] = await world.attest(world.attestation(trail.id, "JUNIT", name="units"))
    await world.judge(attestation, "FAILED")
    await relay(world.services)
    assert [row["title"] for row in await notifications(world)] == ["Attestation units failed"]


async def test_a_rule_hears_only_of_its_flow(world: World, relay: Relay) -> None:
    mine = await world.flow()
    await world.rule(Channel.IN_APP, config={}, filter_flow_id=mine.id)
    await failing(world)
    await failing(world, trail_id=(await world.trail(mine)).id)
    await relay(world.services)
    assert len(await notifications(world)) == 1


async def test_messages_of_a_trail_arrive_in_the_order_of_its_facts(world: World, relay: Relay) -> None:
    async with receiving() as receiver:
        await listened(world, receiver)
        await failing(world, 30)
        await relay(world.services)
    assert [body["data"]["attestation"] for body in receiver.bodies] == [f"t{n}" for n in range(30)]


@pytest.mark.parametrize("number", [300, pytest.param(2000, marks=pytest.mark.slow)])
async def test_many_messages_on_one_trail_arrive_in_order_and_nobody_waits_for_them(
    world: World, relay: Relay, number: int
) -> None:
    async with receiving() as receiver:
        where = await listened(world, receiver)
        long = await told(world, where, "trail:long", number)
        run = asyncio.create_task(relay(world.services))
        await eventually(lambda: taken(receiver, 100), 10, "the first hundred")
        others = [one for n in range(40) for one in await told(world, where, f"trail:{n}", 2)]
        before = len(receiver.taken)
        async with asyncio.timeout(60 + number / 10):  # no message waits for the end of a lease
            await run
            while "PENDING" in await statuses(world):
                await relay(world.services)  # a run that has taken a minute leaves the rest to the next one
    assert [one for one in receiver.taken if one in set(long)] == long
    assert sorted(receiver.taken) == sorted(long + others)
    assert max(receiver.taken.index(one) for one in others) < before + len(others) + 100


async def told(world: World, where: UUID, subject: str, number: int) -> list[str]:
    """The ids of new messages about one subject, under the destination's rule."""
    async with world.services.database.transaction() as tx:
        rule = await tx.value("SELECT id FROM notification_rules WHERE destination_id = $1", where)
        payload = {"title": subject, "message": "m", "severity": "INFO"}
        new = NewMessage(where, "WEBHOOK", "ATTESTATION_FAILED", subject, payload, rule_id=rule)
        return list(map(str, await enqueue(tx, world.tenant, [new] * number)))


async def taken(receiver: Receiver, number: int) -> bool:
    return len(receiver.taken) >= number


async def test_order_holds_when_the_first_of_them_must_be_tried_again(world: World, relay: Relay) -> None:
    refusals = iter([500])

    async def first_fails(_receiver: Receiver, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=next(refusals, 200))

    async with receiving(first_fails) as receiver:
        await listened(world, receiver)
        await failing(world, 5)
        await relay(world.services)
        assert receiver.taken == []
        await hasten(world)
        await relay(world.services)
        assert [body["data"]["attestation"] for body in receiver.bodies] == [f"t{n}" for n in range(5)]


@pytest.mark.parametrize(
    "behave", [answering(500), answering(429), cutting, slow(5)], ids=["500", "429", "cut", "slow"]
)
async def test_what_does_not_arrive_is_tried_again_under_the_same_id(world: World, relay: Relay, behave: Any) -> None:
    async with receiving(behave) as receiver:
        await listened(world, receiver)
        await failing(world)
        await relay(world.services)
        [row] = await outbox(world)
        assert (row["status"], row["attempts"]) == ("PENDING", 1)
        receiver.behave = None
        await hasten(world)
        await relay(world.services)
        assert set(receiver.asked) == {str(row["id"])}
        assert receiver.copies[str(row["id"])] == (2 if behave is cutting else 1)  # who was cut off may have taken it
    assert await statuses(world) == ["SENT"]


async def test_a_destination_that_asks_for_patience_gets_it_and_others_do_not_wait(world: World, relay: Relay) -> None:
    async with receiving(answering(429, **{"Retry-After": "90"})) as busy, receiving() as free:
        throttled = await listened(world, busy)
        await listened(world, free)
        for _ in range(3):
            await failing(world)
        await relay(world.services)
        assert len(free.taken) == 3
        assert 1 <= len(busy.asked) <= 3
        async with world.services.database.read() as reader:
            until = await reader.value("SELECT paused_until FROM destinations WHERE id = $1", throttled)
        assert 60 < (until - world.services.clock.now()).total_seconds() < 150


async def test_who_is_gone_is_disabled_and_its_owner_told(world: World, relay: Relay) -> None:
    async with receiving(answering(410)) as receiver:
        await listened(world, receiver)
        await failing(world, 3)
        await relay(world.services)
    assert len(receiver.asked) == 1
    assert await statuses(world) == ["FAILED"] * 3
    [told] = await notifications(world)
    assert "was disabled" in told["title"]
    assert "hidden" not in told["title"] + told["message"]


async def test_the_owner_hears_of_failures_of_exhaustion_and_of_recovery(world: World, relay: Relay) -> None:
    async with receiving(answering(500)) as receiver:
        await listened(world, receiver)
        await failing(world)
        for _ in range(8):
            await relay(world.services)
            await hasten(world)
        assert await statuses(world) == ["FAILED"]
        receiver.behave = None
        await failing(world)
        await relay(world.services)
    titles = [row["title"] for row in await notifications(world)]
    assert [title.partition("127.0.0.1")[0] for title in titles] == [
        "Deliveries to http://",
        "A message to http://",
        "Deliveries to http://",
    ]
    assert "succeed again" in titles[2]


async def test_a_connection_refused_at_once_is_tried_once_more_on_the_spot(world: World, relay: Relay) -> None:
    async with receiving() as receiver:
        await listened(world, receiver)
    await failing(world)
    await relay(world.services)
    [row] = await outbox(world)
    assert (row["status"], row["attempts"]) == ("PENDING", 2)


async def test_a_deleted_rule_sends_nothing_more(world: World, relay: Relay) -> None:
    async with receiving() as receiver:
        await listened(world, receiver)
        await failing(world)
        async with world.services.database.transaction() as tx:
            await tx.execute("UPDATE notification_rules SET archived_at = now(), is_active = false")
        await relay(world.services)
    assert receiver.asked == []
    assert [(row["status"], row["error"]) for row in await outbox(world)] == [("SKIPPED", "The rule was deleted.")]


async def test_a_rules_own_words_are_used_and_a_broken_template_loses_nothing(world: World, relay: Relay) -> None:
    await world.rule(Channel.IN_APP, config={}, title_template="{{ severity }}: {{ data.attestation }}")
    await world.rule(Channel.IN_APP, config={}, message_template="{{ nobody.knows }}")
    await failing(world)
    await relay(world.services)
    told = await notifications(world)
    assert {row["title"] for row in told} == {"WARNING: t0", "Attestation t0 failed"}
    assert any("template failed" in row["message"] for row in told)


async def test_an_address_that_may_not_be_reached_is_a_dead_letter_that_says_why(
    own_services: Services,
) -> None:
    guarded = await World.founded(own_services)
    async with receiving() as receiver, Relay.opened(own_services) as relay:
        await guarded.rule(config={"webhookUrl": receiver.url})
        await failing(guarded)
        await relay(own_services)
        assert receiver.asked == []
    [row] = await outbox(guarded)
    assert row["status"] == "FAILED"
    assert "may not be reached" in str((await message(guarded, row["id"])).error)


async def test_a_rule_whose_secrets_do_not_open_holds_up_nobody_else(world: World, relay: Relay) -> None:
    broken = await world.rule(Channel.IN_APP, config={})
    await world.rule(Channel.IN_APP, config={})
    async with world.services.database.transaction() as tx:
        await tx.execute(
            "UPDATE secrets SET data = '\\x00' "
            "WHERE id = (SELECT config_secret_id FROM notification_rules WHERE id = $1)",
            broken.rule.id,
        )
    await failing(world)
    await relay(world.services)
    assert sorted((row["status"], row["rule_id"] == broken.rule.id) for row in await outbox(world)) == [
        ("FAILED", True),
        ("SENT", False),
    ]


async def test_a_message_that_kills_whoever_sends_it_is_given_up(world: World, relay: Relay) -> None:
    async with receiving() as receiver:
        await listened(world, receiver)
        await failing(world)
        async with world.services.database.transaction() as tx:
            await tx.execute("UPDATE outbox SET attempts = 30")
        await relay(world.services)
        assert receiver.asked == []
    [row] = await outbox(world)
    assert (row["status"], row["attempts"]) == ("FAILED", 0)
    assert "never finished" in row["error"]
