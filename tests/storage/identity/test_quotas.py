"""Counting against quotas: exactly for totals, cheaply for rates, and with limits of an organisation's own."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.errors import Conflict, NotFound, Throttled, TrailgateError
from domain.identity.api_keys import NewApiKey
from domain.identity.quotas import PERIODS, Quota, QuotaUse
from domain.tenant import Tenant
from storage.counters import fold
from storage.database import Transaction
from storage.facts.commands.webhook_configs import delete_webhook_config
from storage.identity.commands.api_keys import create_api_key, revoke_api_key
from storage.identity.commands.quotas import charge, set_limits, take
from storage.identity.queries.quotas import quota_uses
from storage.notifications.commands.rules import archive_rule
from storage.services import Services
from tests.storage.sealing import inspected, seal_waiting, sign
from tests.storage.shifted import later
from tests.storage.world import World


@pytest.fixture
async def world(services: Services) -> World:
    return await World.founded(services)


async def limit(world: World, **limits: int | None) -> None:
    async with world.services.database.transaction() as tx:
        await set_limits(tx, world.tenant, {Quota(name): number for name, number in limits.items()}, world.actor)


async def use(world: World, quota: Quota) -> QuotaUse:
    services = world.services
    async with services.database.read() as reader:
        uses = await quota_uses(reader, world.tenant, services.settings.quotas, services.clock.now())
    assert [one.quota for one in uses] == list(Quota)
    return next(one for one in uses if one.quota is quota)


async def used(world: World, quota: Quota) -> int:
    return (await use(world, quota)).used


async def test_without_limits_of_its_own_the_settings_apply(world: World) -> None:
    assert (await use(world, Quota.API_KEYS)).limit == world.services.settings.quota_api_keys
    await limit(world, api_keys=3)
    assert (await use(world, Quota.API_KEYS)).limit == 3
    assert (await use(world, Quota.WEBHOOK_CONFIGS)).limit == world.services.settings.quota_webhook_configs
    await limit(world, api_keys=None)
    assert (await use(world, Quota.API_KEYS)).limit == world.services.settings.quota_api_keys


async def test_the_settings_reach_every_transaction(services: Services) -> None:
    database = replace(services.database, quotas={**services.database.quotas, Quota.WEBHOOK_CONFIGS: 0})
    world = await World.founded(replace(services, database=database))
    with pytest.raises(Conflict):
        await world.config(await world.flow())


async def test_limits_are_sealed_with_the_organisation(own_services: Services) -> None:
    world = await World.founded(own_services)
    await limit(world, api_keys=3, trails_per_day=7)
    await limit(world, api_keys=3)
    async with own_services.database.transaction() as tx:
        rows = await tx.rows(
            "SELECT payload FROM audit_events WHERE org_id = $1 AND name = 'organisation.updated'", world.tenant.org_id
        )
        await seal_waiting(own_services, tx, world.tenant.org_id)
        await sign(own_services, tx, world.tenant.org_id)
    assert [row["payload"]["quotas"] for row in rows] == [{"api_keys": 3, "trails_per_day": 7}], "no change, no event"
    async with own_services.database.snapshot() as reader:
        assert (await inspected(own_services, reader, world.tenant.org_id)).findings == []


async def test_nobody_has_no_limits(world: World) -> None:
    async with world.services.database.transaction() as tx:
        with pytest.raises(NotFound):
            await set_limits(tx, Tenant(tx.new_id(), "nobody"), {Quota.API_KEYS: 1}, world.actor)


async def test_a_webhook_config_counts_until_it_is_deleted(world: World) -> None:
    flow = await world.flow()
    await limit(world, webhook_configs=1)
    config = await world.config(flow)
    with pytest.raises(Conflict) as refused:
        await world.config(flow)
    assert refused.value.limit == "webhook_configs"
    async with world.services.database.transaction() as tx:
        await delete_webhook_config(tx, world.tenant, config.id, world.actor)
    await world.config(flow)
    assert await used(world, Quota.WEBHOOK_CONFIGS) == 1


async def test_a_notification_rule_counts_until_it_is_deleted(world: World) -> None:
    await limit(world, notification_rules=1)
    issued = await world.rule()
    with pytest.raises(Conflict) as refused:
        await world.rule()
    assert refused.value.limit == "notification_rules"
    async with world.services.database.transaction() as tx:
        await archive_rule(tx, world.tenant, issued.rule.id, world.actor)
    await world.rule()
    assert await used(world, Quota.NOTIFICATION_RULES) == 1


async def test_an_api_key_counts_until_it_is_revoked(world: World) -> None:
    async def create(tx: Transaction) -> Any:
        return (await create_api_key(tx, world.tenant, NewApiKey(world.actor.principal_id, "a key"), world.actor))[0]

    await limit(world, api_keys=1)
    async with world.services.database.transaction() as tx:
        key = await create(tx)
    with pytest.raises(Conflict) as refused:
        async with world.services.database.transaction() as tx:
            await create(tx)
    assert refused.value.limit == "api_keys"
    for _ in range(2):  # revoking it again uncounts nothing
        async with world.services.database.transaction() as tx:
            await revoke_api_key(tx, world.tenant, key.id, world.actor)
    assert await used(world, Quota.API_KEYS) == 0


async def test_a_total_is_never_exceeded_by_those_who_race(world: World) -> None:
    async def add() -> str | None:
        try:
            async with world.services.database.transaction() as tx:
                await charge(tx, world.tenant, Quota.EVIDENCE_BYTES, 10)
        except TrailgateError as error:
            return error.limit
        return None

    await limit(world, evidence_bytes=35)
    outcomes = await asyncio.gather(*(add() for _ in range(8)))
    assert sorted(map(str, outcomes)) == ["None"] * 3 + ["evidence_bytes"] * 5
    assert await used(world, Quota.EVIDENCE_BYTES) == 30


async def test_a_rate_waits_for_nobody(world: World) -> None:
    database = world.services.database
    async with database.transaction() as first, database.transaction() as second:
        for tx in (first, second):
            await charge(tx, world.tenant, Quota.TRAILS_PER_DAY)
    assert await used(world, Quota.TRAILS_PER_DAY) == 2


async def test_more_bytes_than_32_bits_hold_are_counted(world: World) -> None:
    async with world.services.database.transaction() as tx:
        await charge(tx, world.tenant, Quota.EVIDENCE_BYTES, 2**31)
        await charge(tx, world.tenant, Quota.EVIDENCE_BYTES, 2**33)
    assert await used(world, Quota.EVIDENCE_BYTES) == 2**31 + 2**33


async def test_what_is_refused_is_not_counted(world: World) -> None:
    await limit(world, trails_per_day=2)
    flow = await world.flow()
    for _ in range(2):
        await world.trail(flow)
    with pytest.raises(Throttled) as refused:
        await world.trail(flow)
    assert refused.value.limit == "trails_per_day"
    assert 0 < refused.value.retry_after <= timedelta(days=1).total_seconds()
    assert await used(world, Quota.TRAILS_PER_DAY) == 2


async def test_as_much_as_remains_is_granted(world: World) -> None:
    await limit(world, messages_per_hour=5)
    async with world.services.database.transaction() as tx:
        granted = [await take(tx, world.tenant, Quota.MESSAGES_PER_HOUR, wanted) for wanted in (3, 3, 3)]
    assert granted == [3, 2, 0]


async def test_a_lowered_limit_grants_nothing_and_takes_nothing_away(world: World) -> None:
    await world.rule()
    await limit(world, notification_rules=0)
    assert (await use(world, Quota.NOTIFICATION_RULES)).remaining == 0
    with pytest.raises(Conflict):
        await world.rule()
    assert await used(world, Quota.NOTIFICATION_RULES) == 1


@pytest.mark.parametrize("quota", PERIODS)
async def test_the_next_period_begins_anew_and_the_last_is_forgotten(own_services: Services, quota: Quota) -> None:
    world = await World.founded(own_services)
    await limit(world, **{quota.value: 2})
    for database in (own_services.database, later(own_services, PERIODS[quota].length).database):
        async with database.transaction() as tx:
            assert await take(tx, world.tenant, quota, 5) == 2
        async with database.transaction() as tx:
            await fold(tx, 1000)
    async with own_services.database.read() as reader:
        kept = await reader.rows("SELECT n FROM counters WHERE org_id = $1 AND kind = $2", world.tenant.org_id, quota)
    assert [row["n"] for row in kept] == [2]
