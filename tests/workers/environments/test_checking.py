"""The sweep of environments: silence is told once, and so is its end; repeated, the sweep does nothing."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from asyncpg.connection import LoggedQuery

from domain.environments.allow_list import NewEntry
from domain.environments.artifacts import Running
from domain.environments.baselines import NewBaseline
from domain.environments.environments import DriftStatus, Environment, EnvironmentType, NewEnvironment
from domain.environments.snapshots import Report
from domain.notifications.triggers import Trigger
from domain.patterns import BadPattern
from storage.database import Row
from storage.environments.commands import staleness
from storage.environments.commands.allow_list import add_entry
from storage.environments.commands.baselines import create_baseline
from storage.environments.commands.environments import archive_environment, create_environment, update_environment
from storage.environments.commands.snapshots import record_snapshot
from storage.environments.commands.staleness import recheck_drift
from storage.environments.queries.environments import get_environment
from storage.gauges import read_gauges
from storage.ledger.verification import OK, VerificationOutcome, verify_record
from storage.registry import RECORDS
from storage.services import Services
from tests.storage.shifted import later
from tests.storage.world import World
from workers.environments.checking import check_environments
from workers.overdue import BATCH
from workers.seal import Sealer

APP = Running("app", "sha256:" + "a" * 64, "1")
DEBUG = Running("debug", "sha256:" + "d" * 64, None)
MINUTES = 5
LATE = timedelta(minutes=MINUTES, seconds=1)


async def environment(world: World, name: str = "production", stale_after: int | None = MINUTES) -> UUID:
    async with world.services.database.transaction() as tx:
        new = NewEnvironment(name, EnvironmentType.GENERIC, stale_after=stale_after)
        made = await create_environment(tx, world.tenant, new, world.actor)
    return made.id


async def reported(world: World, environment_id: UUID, *others: Running) -> None:
    async with world.services.database.transaction() as tx:
        running = dict.fromkeys((APP, *others), 1)
        await record_snapshot(tx, world.tenant, Report(environment_id, running), world.actor)


async def allowed_until(world: World, environment_id: UUID, until: datetime) -> None:
    """An environment in which something runs that its allow-list permits until then."""
    await reported(world, environment_id)
    async with world.services.database.transaction() as tx:
        await create_baseline(tx, world.tenant, NewBaseline(environment_id), world.actor)
        entry = NewEntry("a test", name="debug", expires_at=until)
        await add_entry(tx, world.tenant, environment_id, entry, world.actor)
    await reported(world, environment_id, DEBUG)


async def known(world: World, environment_id: UUID) -> Environment:
    async with world.services.database.read() as reader:
        return await get_environment(reader, world.tenant, environment_id)


async def rows(world: World, sql: str, *args: Any) -> list[Row]:
    async with world.services.database.read() as reader:
        return await reader.rows(sql, world.tenant.org_id, *args)


async def names(world: World) -> list[str]:
    sql = "SELECT name FROM audit_events WHERE org_id = $1 AND record_kind = 'reporting' ORDER BY occurred_at, id"
    return [row["name"] for row in await rows(world, sql)]


async def told(world: World) -> list[str]:
    sql = "SELECT payload ->> 'title' AS title FROM messages WHERE org_id = $1 ORDER BY created_at, id"
    return [row["title"] for row in await rows(world, sql)]


async def test_silence_is_told_once_and_so_is_its_end(own_services: Services) -> None:
    world = await World.founded(own_services)
    await world.rule(trigger=Trigger.DRIFT_DETECTED)
    production = await environment(world)
    await reported(world, production)
    await check_environments(own_services)
    assert (await known(world, production)).stale_since is None
    late = World(later(own_services, LATE), world.tenant, world.actor)
    for _ in range(3):
        await check_environments(late.services)
    stale = await known(world, production)
    assert stale.stale_since == (stale.last_reported_at or stale.created_at) + timedelta(minutes=MINUTES)
    assert await names(world) == ["environment.stale"]
    await reported(late, production)
    await reported(late, production)
    assert (await known(world, production)).stale_since is None
    assert await names(world) == ["environment.stale", "environment.reported"]
    assert await told(world) == ["production is stale", "production is reported again"]
    await check_environments(late.services)
    assert len(await names(world)) == 2


async def test_an_environment_that_was_stale_is_still_what_was_sealed(own_services: Services) -> None:
    world = await World.founded(own_services)
    production = await environment(world)
    await reported(world, production)
    late = World(later(own_services, LATE), world.tenant, world.actor)
    await check_environments(late.services)
    await reported(late, production)
    await Sealer()(own_services)
    events = await rows(world, "SELECT record_id FROM audit_events WHERE org_id = $1 AND record_kind = 'reporting'")
    async with own_services.database.read() as reader:
        for one in (production, *(event["record_id"] for event in events)):
            found = await verify_record(reader, world.tenant, one, RECORDS, own_services.trusted_keys)
            assert (found.outcome, found.reason) == (VerificationOutcome.VERIFIED, OK)
    assert len(events) == 2


async def test_a_clock_that_once_was_ahead_hides_no_silence(own_services: Services) -> None:
    world = await World.founded(own_services)
    production = await environment(world)
    await reported(World(later(own_services, timedelta(days=365)), world.tenant, world.actor), production)
    await reported(world, production)
    await check_environments(own_services)
    assert await names(world) == []
    await check_environments(later(own_services, LATE))
    assert await names(world) == ["environment.stale"]


async def test_without_a_limit_or_a_report_nothing_is_stale(own_services: Services) -> None:
    world = await World.founded(own_services)
    await environment(world, "never reported")
    await reported(world, await environment(world, "without a limit", None))
    gone = await environment(world, "archived")
    await reported(world, gone)
    async with own_services.database.transaction() as tx:
        await archive_environment(tx, world.tenant, gone, world.actor)
    await check_environments(later(own_services, timedelta(days=1)))
    assert await names(world) == []


async def test_another_limit_counts_from_the_last_report(own_services: Services) -> None:
    world = await World.founded(own_services)
    production = await environment(world)
    await reported(world, production)
    async with own_services.database.transaction() as tx:
        await update_environment(tx, world.tenant, production, {"stale_after": 2 * MINUTES}, world.actor)
    await check_environments(later(own_services, LATE))
    assert await names(world) == []
    await check_environments(later(own_services, 2 * LATE))
    assert await names(world) == ["environment.stale"]
    async with own_services.database.transaction() as tx:
        await update_environment(tx, world.tenant, production, {"stale_after": None}, world.actor)
    assert (await known(world, production)).stale_since is None


async def test_another_limit_does_not_tell_again_that_an_environment_is_stale(own_services: Services) -> None:
    world = await World.founded(own_services)
    await world.rule(trigger=Trigger.DRIFT_DETECTED)
    production = await environment(world)
    await reported(world, production)
    late = World(later(own_services, 3 * LATE), world.tenant, world.actor)
    await check_environments(late.services)
    for limit in (MINUTES + 1, 2 * MINUTES):
        async with late.services.database.transaction() as tx:
            changed = await update_environment(tx, world.tenant, production, {"stale_after": limit}, world.actor)
        assert changed.stale_since == (changed.last_reported_at or changed.created_at) + timedelta(minutes=limit)
        await check_environments(late.services)
    assert await told(world) == ["production is stale"]
    await reported(late, production)
    assert await told(world) == ["production is stale", "production is reported again"]


async def test_every_environment_is_checked_however_many_are_due(own_services: Services) -> None:
    world = await World.founded(own_services)
    ids = [await environment(world, f"host-{number}") for number in range(BATCH + 5)]
    for one in ids:
        await reported(world, one)
    await check_environments(later(own_services, LATE))
    assert len(await names(world)) == BATCH + 5


async def test_what_cannot_be_checked_keeps_no_other_organisation_waiting(own_services: Services) -> None:
    damaged, sound = [await World.founded(own_services) for _ in range(2)]
    until = own_services.clock.now() + timedelta(hours=1)
    for world in (damaged, sound):
        await allowed_until(world, await environment(world, stale_after=None), until)
    async with own_services.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO allowlist (id, org_id, environment_id, pattern, reason, added_by, created_at) "
            "SELECT gen_random_uuid(), org_id, environment_id, '(', '', added_by, now() FROM allowlist "
            "WHERE org_id = $1",
            damaged.tenant.org_id,
        )
    with pytest.raises(BadPattern):
        await check_environments(later(own_services, timedelta(hours=2)))
    states = "SELECT drift_status FROM environments WHERE org_id = $1"
    assert [row["drift_status"] for row in await rows(sound, states)] == [DriftStatus.DRIFTED]
    assert [row["drift_status"] for row in await rows(damaged, states)] == [DriftStatus.IN_SYNC]


async def test_how_long_a_check_has_been_due_is_a_gauge(own_services: Services) -> None:
    world = await World.founded(own_services)
    await reported(world, await environment(world))
    due = own_services.clock.now() + timedelta(minutes=MINUTES)
    async with own_services.database.read() as reader:
        assert (await read_gauges(reader, due - LATE)).environments_lag == timedelta()
        assert (await read_gauges(reader, due + LATE)).environments_lag >= LATE - timedelta(seconds=5)
    await check_environments(later(own_services, 2 * LATE))
    async with own_services.database.read() as reader:
        assert (await read_gauges(reader, due + LATE)).environments_lag == timedelta()


async def test_what_was_allowed_until_now_is_drift_without_a_report(
    own_services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In portions, of which each has as much to compare as fits."""
    monkeypatch.setattr(staleness, "MAX_ARTIFACTS", 3)
    world = await World.founded(own_services)
    await world.rule(trigger=Trigger.DRIFT_DETECTED)
    ids = [await environment(world, f"host-{number}", None) for number in range(5)]
    until = own_services.clock.now() + timedelta(hours=1)
    for one in ids:
        await allowed_until(world, one, until)
    await check_environments(own_services)
    assert await told(world) == []
    for _ in range(2):
        await check_environments(later(own_services, timedelta(hours=2)))
    assert sorted(await told(world)) == [f"host-{number} drifted from its baseline" for number in range(5)]
    for one in ids:
        assert (await known(world, one)).drift_status is DriftStatus.DRIFTED
        assert (await known(world, one)).recheck_at is None


async def test_many_environments_are_compared_in_as_many_statements_as_one(own_services: Services) -> None:
    world = await World.founded(own_services)
    until = own_services.clock.now() + timedelta(hours=1)
    late, counts = later(own_services, timedelta(hours=2)), []
    for size in (1, 30):
        ids = [await environment(world, f"host-{size}-{number}", None) for number in range(size)]
        for one in ids:
            await allowed_until(world, one, until)
        statements: list[str] = []
        log = partial(_note, statements)
        async with late.database.transaction() as tx:
            tx.connection.add_query_logger(log)
            await recheck_drift(tx, world.tenant, ids)
            tx.connection.remove_query_logger(log)
        counts.append(len(statements))
    assert counts[0] == counts[1]


def _note(statements: list[str], query: LoggedQuery) -> None:
    if "typeinfo_tree" not in query.query:  # asyncpg looks a type up once
        statements.append(query.query)
