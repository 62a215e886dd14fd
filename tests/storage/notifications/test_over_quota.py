"""Notifications beyond the quota of an organisation: counted, told once per rule and hour, and in nobody's way."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.errors import Throttled
from domain.identity.quotas import PERIODS, Quota
from domain.notifications.triggers import Trigger, attestation_failed
from storage.counters import SUPPRESSED, total
from storage.facts.queries.attestations import get_attestation
from storage.identity.commands.quotas import set_limits
from storage.notifications.commands.notices import raise_notices
from storage.notifications.commands.rules import send_test
from storage.outbox.queries import Message, list_messages
from storage.paging import Window
from storage.services import Services
from tests.storage.shifted import later
from tests.storage.world import World


@pytest.fixture
async def world(services: Services) -> World:
    return await World.founded(services)


async def allow(world: World, messages_per_hour: int) -> None:
    async with world.services.database.transaction() as tx:
        await set_limits(tx, world.tenant, {Quota.MESSAGES_PER_HOUR: messages_per_hour}, world.actor)


async def raised(world: World, number: int) -> list[UUID]:
    notices = [attestation_failed(uuid4(), uuid4(), uuid4(), "test", None) for _ in range(number)]
    async with world.services.database.transaction() as tx:
        return await raise_notices(tx, world.tenant, notices)


async def messages(world: World, **filters: Any) -> list[Message]:
    async with world.services.database.read() as reader:
        return (await list_messages(reader, world.tenant, Window(100), **filters)).items


async def suppressed(world: World) -> int:
    async with world.services.database.read() as reader:
        return await total(reader, world.tenant, SUPPRESSED)


def is_digest(message: Message) -> bool:
    return message.payload["data"].get("limit") == "messages_per_hour"


async def test_what_exceeds_the_quota_is_counted_and_told_once_by_each_rule(world: World) -> None:
    await allow(world, 3)
    rules = {(await world.rule()).rule.id for _ in range(2)}
    assert len(await raised(world, 2)) == 3
    for _ in range(3):
        assert await raised(world, 2) == []
    sent = await messages(world)
    assert len(sent) == 5
    digests = [message for message in sent if is_digest(message)]
    assert {message.rule_id for message in digests} == rules
    assert {message.status for message in digests} == {"PENDING"}, "they are sent"
    assert {message.event for message in digests} == {"ATTESTATION_FAILED"}
    assert await suppressed(world) == 1 + 3 * 4


async def test_the_facts_are_stored_all_the_same(world: World) -> None:
    await allow(world, 0)
    await world.rule()
    await world.rule(trigger=Trigger.TRAIL_NON_COMPLIANT)
    trail = await world.trail(await world.flow("TEST"))
    [attestation] = await world.attest(world.attestation(trail.id, "TEST", "FAILED"))
    async with world.services.database.read() as reader:
        assert (await get_attestation(reader, world.tenant, trail.id, attestation.id)).status == "FAILED"
    assert [is_digest(message) for message in await messages(world)] == [True, True]
    assert await suppressed(world) == 2


async def test_one_request_of_500_failures_and_300_rules_queues_no_more_than_the_quota(world: World) -> None:
    await allow(world, 400)
    rule = (await world.rule()).rule
    async with world.services.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO notification_rules SELECT (jsonb_populate_record(r, jsonb_build_object("
            "'id', gen_random_uuid(), 'name', n::text))).* FROM notification_rules r, generate_series(2, 300) n "
            "WHERE r.id = $1",
            rule.id,
        )
    assert len(await raised(world, 500)) == 400
    async with world.services.database.read() as reader:
        stored = await reader.value("SELECT count(*) FROM outbox WHERE org_id = $1", world.tenant.org_id)
    assert stored == 400 + 300, "and a digest of each rule"
    assert await suppressed(world) == 500 * 300 - 400


async def test_those_who_race_beyond_the_quota_send_one_digest(world: World) -> None:
    await allow(world, 0)
    for _ in range(5):
        await world.rule()
    await asyncio.gather(*(raised(world, 3) for _ in range(8)))
    sent = await messages(world)
    assert (len(sent), all(map(is_digest, sent))) == (5, True)
    assert await suppressed(world) == 5 * 3 * 8


async def test_the_next_hour_sends_again_and_has_a_digest_of_its_own(world: World) -> None:
    await allow(world, 1)
    await world.rule()
    in_an_hour = replace(world, services=later(world.services, PERIODS[Quota.MESSAGES_PER_HOUR].length))
    for now in (world, in_an_hour):
        assert [len(await raised(now, 2)) for _ in range(2)] == [1, 0]
    assert sorted(map(is_digest, await messages(world))) == [False, False, True, True]


async def test_a_test_message_counts_and_is_refused_beyond_the_quota(world: World) -> None:
    await allow(world, 1)
    rule = (await world.rule()).rule
    async with world.services.database.transaction() as tx:
        await send_test(tx, world.tenant, rule.id)
        with pytest.raises(Throttled) as refused:
            await send_test(tx, world.tenant, rule.id)
    assert refused.value.limit == "messages_per_hour"
    assert len(await messages(world)) == 1
