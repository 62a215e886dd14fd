"""What is derived from snapshots, made anew, is what the commands had written, whatever happened to it."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.environments.artifacts import Instances, Running
from domain.environments.baselines import NewBaseline
from domain.environments.environments import Environment, EnvironmentType, NewEnvironment
from domain.environments.snapshots import Report
from domain.errors import Unavailable
from storage.environments import rebuild
from storage.environments.commands.baselines import create_baseline
from storage.environments.commands.environments import archive_environment, create_environment
from storage.environments.commands.snapshots import Recorded, record_snapshot
from storage.environments.queries.snapshots import instances_of
from storage.environments.rebuild import rebuild_environments
from storage.rebuild import Progress
from storage.services import Services
from tests.storage.world import World

CONTENT = {
    "running": "SELECT org_id, environment_id, name, digest, tag, count, during::text FROM running",
    "deployments": "SELECT d.*::text FROM deployments d",
    "environments": "SELECT id, last_n, encode(last_content, 'hex'), last_artifacts, last_reported_at, "
    "last_changed_at, drift_status, drifted_since FROM environments",
}
WEB, API, JOB = (
    Running(name, "sha256:" + letter * 64, "1") for name, letter in (("web", "a"), ("api", "b"), ("job", "c"))
)
WEB_2 = Running("web", "sha256:" + "d" * 64, "2")
NEXT = "(SELECT id FROM environments e WHERE e.id > {}.environment_id ORDER BY id LIMIT 1)"


async def environment(world: World) -> Environment:
    new = NewEnvironment(f"environment-{uuid4().hex[:8]}", EnvironmentType.GENERIC)
    async with world.services.database.transaction() as tx:
        return await create_environment(tx, world.tenant, new, world.actor)


async def report(world: World, environment_id: UUID, instances: Instances, **options: Any) -> Recorded:
    async with world.services.database.transaction() as tx:
        return await record_snapshot(tx, world.tenant, Report(environment_id, instances, **options), world.actor)


async def approve(world: World, environment_id: UUID, snapshot_id: UUID | None = None) -> None:
    async with world.services.database.transaction() as tx:
        await create_baseline(tx, world.tenant, NewBaseline(environment_id, snapshot_id), world.actor)


def moment(chance: random.Random) -> dict[Running, int]:
    """What may run: several versions and tags of a name side by side."""
    artifacts = [Running(name, digest, tag) for name in "ab" for digest in "12" for tag in (None, "x")]
    return {one: chance.randint(1, 2) for one in chance.sample(artifacts, chance.randrange(5))}


async def content(services: Services) -> dict[str, list[tuple[Any, ...]]]:
    """Everything derived, as it stands; the ids of intervals mean nothing."""
    async with services.database.read() as reader:
        return {name: sorted((tuple(row) for row in await reader.rows(sql)), key=repr) for name, sql in CONTENT.items()}


async def rebuilt(world: World) -> Progress:
    steps = [step async for step in rebuild_environments(world.services.database, world.tenant)]
    assert [step.seen for step in steps] == sorted(step.seen for step in steps), "progress only grows"
    return steps[-1]


async def sql(services: Services, statement: str) -> int:
    async with services.database.transaction() as tx:
        return await tx.execute(statement)


@pytest.fixture
async def world(own_services: Services, monkeypatch: pytest.MonkeyPatch) -> World:
    """Environments that drifted, are back in line, never were compared, are archived, empty or logical."""
    monkeypatch.setattr(rebuild, "CHUNK", 4)
    world = await World.founded(own_services)
    drifted, settled, archived, _ = [await environment(world) for _ in range(4)]
    reports: Sequence[Instances] = [{WEB: 1}, {WEB: 2, API: 1}, {WEB: 2, API: 1}, {WEB: 2, WEB_2: 1}, {WEB_2: 1}, {}]
    for one in (drifted, settled):
        for instances in reports:
            await report(world, one.id, instances)
            if instances == reports[1]:
                await approve(world, one.id)
        await report(world, one.id, {WEB_2: 1, JOB: 3})
    await report(world, settled.id, reports[1])
    await report(world, settled.id, reports[1], only_changes=True)
    await report(world, archived.id, {})
    await report(world, archived.id, {})
    await sql(
        own_services,
        "INSERT INTO environments (id, org_id, name, kind, version, created_at, updated_at, last_n, last_artifacts) "
        f"SELECT gen_random_uuid(), org_id, 'all', 'logical', 1, now(), now(), 0, 0 "
        f"FROM environments WHERE id = '{archived.id}'",
    )
    async with own_services.database.transaction() as tx:
        await archive_environment(tx, world.tenant, archived.id, world.actor)
    return world


SNAPSHOTS = 7 + 8 + 2
DAMAGES = {
    "intervals gone": "DELETE FROM running",
    "what runs now gone": "DELETE FROM running WHERE upper_inf(during)",
    "what ran gone": "DELETE FROM running WHERE NOT upper_inf(during)",
    "intervals twice": "INSERT INTO running SELECT gen_random_uuid(), org_id, environment_id, during, name, digest, "
    "tag, count FROM running",
    "intervals of another organisation": "UPDATE running SET org_id = gen_random_uuid()",
    "intervals of no environment": "UPDATE running SET environment_id = gen_random_uuid()",
    "intervals of the next environment": f"UPDATE running r SET environment_id = coalesce({NEXT.format('r')}, "
    "environment_id)",
    "intervals of another name": "UPDATE running SET name = name || 'x'",
    "intervals of another digest": "UPDATE running SET digest = 'sha256:0'",
    "intervals of another tag": "UPDATE running SET tag = CASE WHEN tag IS NULL THEN '' END",
    "intervals of another count": "UPDATE running SET count = count + 1",
    "intervals moved": "UPDATE running SET during = int4range(lower(during) + 3, upper(during) + 3)",
    "intervals moved back": "UPDATE running SET during = int4range(lower(during) - 9, upper(during) - 9)",
    "intervals that never end": "UPDATE running SET during = int4range(lower(during), NULL)",
    "intervals that never began": "UPDATE running SET during = int4range(NULL, upper(during))",
    "intervals that ended": "UPDATE running SET during = int4range(lower(during), 100) WHERE upper_inf(during)",
    "intervals without a snapshot": "UPDATE running SET during = 'empty'",
    "intervals of all time": "INSERT INTO running SELECT gen_random_uuid(), org_id, id, '(,)', 'x', 'y', NULL, 1 "
    "FROM environments",
    "deployments gone": "DELETE FROM deployments",
    "what is deployed now gone": "DELETE FROM deployments WHERE removed_n IS NULL",
    "deployments twice": "INSERT INTO deployments SELECT gen_random_uuid(), org_id, environment_id, name, digest, tag, "
    "replaced, deployed_n, deployed_at, removed_n, removed_at FROM deployments",
    "deployments with other ids": "UPDATE deployments SET id = gen_random_uuid()",
    "deployments of another organisation": "UPDATE deployments SET org_id = gen_random_uuid()",
    "deployments in no environment": "UPDATE deployments SET environment_id = gen_random_uuid()",
    "deployments in the next environment": "UPDATE deployments d SET environment_id = "
    f"coalesce({NEXT.format('d')}, environment_id)",
    "deployments of another name": "UPDATE deployments SET name = name || 'x'",
    "deployments of another digest": "UPDATE deployments SET digest = 'sha256:0'",
    "deployments of another tag": "UPDATE deployments SET tag = NULL",
    "deployments in place of another": "UPDATE deployments SET replaced = CASE WHEN replaced IS NULL THEN 'x' END",
    "deployments by another snapshot": "UPDATE deployments SET deployed_n = deployed_n + 1",
    "deployments that end with another": "UPDATE deployments SET removed_n = coalesce(removed_n, 0) + 1",
    "deployments that never ended": "UPDATE deployments SET removed_n = NULL, removed_at = NULL",
    "deployments that ended": "UPDATE deployments SET removed_n = 1, removed_at = now()",
    "deployments of now": "UPDATE deployments SET deployed_at = now()",
    "deployments of never": "UPDATE deployments SET deployed_at = '-infinity', removed_at = 'infinity'",
    "deployments that will be": "UPDATE deployments SET deployed_at = 'infinity'",
    "nothing reported": "UPDATE environments SET last_n = 0, last_content = NULL, last_reported_at = NULL, "
    "last_changed_at = NULL WHERE last_n <> 8",
    "another number of the last snapshot": "UPDATE environments SET last_n = last_n + 1",
    "another number of artifacts": "UPDATE environments SET last_artifacts = last_artifacts + 1",
    "another content": "UPDATE environments SET last_content = 'x'",
    "reported before": "UPDATE environments SET last_reported_at = last_reported_at - interval '1 day' "
    "WHERE last_n <> 8",
    "reported at no time": "UPDATE environments SET last_reported_at = 'infinity' WHERE last_n BETWEEN 1 AND 7",
    "changed at another time": "UPDATE environments SET last_changed_at = now()",
    "another drift": "UPDATE environments SET drift_status = CASE drift_status WHEN 'DRIFTED' THEN 'IN_SYNC' "
    "ELSE 'DRIFTED' END",
    "drifted since another time": "UPDATE environments SET drifted_since = now()",
}


async def test_a_rebuild_of_what_is_right_changes_nothing(world: World) -> None:
    before = await content(world.services)
    assert {row[6] for row in before["environments"]} == {"DRIFTED", "IN_SYNC", None}
    assert await rebuilt(world) == Progress(SNAPSHOTS, 0)
    assert await content(world.services) == before


async def test_whatever_was_done_to_derived_rows_a_rebuild_makes_them_as_they_were(world: World) -> None:
    before = await content(world.services)
    for name, statement in DAMAGES.items():
        assert await sql(world.services, statement) > 0, f"{name}: there was nothing to spoil"
        assert await content(world.services) != before, name
        found = [step async for step in rebuild_environments(world.services.database.rehearsed(), world.tenant)][-1]
        assert found.mended > 0, f"{name}: a rehearsal tells"
        assert (await rebuilt(world)).mended > 0, name
        assert await content(world.services) == before, name
        assert (await rebuilt(world)).mended == 0, name


async def test_what_is_wrong_is_counted_once(world: World) -> None:
    for table, column in (("running", "count"), ("deployments", "deployed_n"), ("environments", "last_n")):
        wrong = await sql(world.services, f"UPDATE {table} SET {column} = {column} + 1")
        assert (await rebuilt(world)).mended == wrong


async def test_another_organisation_is_left_alone(world: World) -> None:
    other = await World.founded(world.services)
    await report(other, (await environment(other)).id, {WEB: 1})
    for table in ("running", "deployments"):
        await sql(world.services, f"DELETE FROM {table}")
    assert await rebuilt(other) == Progress(1, 2)
    async with world.services.database.read() as reader:
        for table in ("running", "deployments"):
            assert await reader.value(f"SELECT count(*) FROM {table} WHERE org_id = $1", world.tenant.org_id) == 0


async def test_a_report_that_was_only_to_record_changes_is_not_forgotten(world: World) -> None:
    one = await environment(world)
    await report(world, one.id, {WEB: 1})
    await report(world, one.id, {WEB: 1}, only_changes=True)
    before = await content(world.services)
    assert (await rebuilt(world)).mended == 0
    assert await content(world.services) == before


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM running",
        "UPDATE running SET count = 9 WHERE upper_inf(during)",
        "UPDATE environments SET last_content = 'x' WHERE last_n > 0",
        "DELETE FROM deployments",
        DAMAGES["deployments twice"],
    ],
)
async def test_nothing_that_was_made_of_damaged_rows_is_sealed(world: World, damage: str) -> None:
    one = await environment(world)
    await report(world, one.id, {WEB: 1, API: 1})
    assert await sql(world.services, damage) > 0
    with pytest.raises(Unavailable, match="trailgate rebuild environments"):
        await report(world, one.id, {WEB_2: 1})
    await rebuilt(world)
    await report(world, one.id, {WEB_2: 1})
    async with world.services.database.read() as reader:
        assert await instances_of(reader, world.tenant, [(one.id, 2)]) == [{WEB_2: 1}]


@pytest.mark.parametrize("seed", range(4))
async def test_any_snapshot_is_what_was_reported_after_a_rebuild_too(
    own_services: Services, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(rebuild, "CHUNK", chance.randint(1, 40))
    monkeypatch.setattr(rebuild, "MOST_CHANGES", chance.randint(1, 40))
    world = await World.founded(own_services)
    one = await environment(world)
    reported: list[Instances] = []
    for _ in range(30):
        reported.append(reported[-1] if reported and chance.random() < 0.4 else moment(chance))
        await report(world, one.id, reported[-1])
    places = [(one.id, n) for n in range(1, len(reported) + 1)]
    before = await content(own_services)
    for damage in ("SELECT", "DELETE FROM running", "DELETE FROM deployments"):
        await sql(own_services, damage)
        assert (await rebuilt(world)).seen == len(reported)
        async with own_services.database.read() as reader:
            assert await instances_of(reader, world.tenant, places) == reported
        assert await content(own_services) == before


async def test_reports_during_a_rebuild_are_not_lost(world: World) -> None:
    """Nothing is wrong that a report builds upon, but everything that ended before."""
    one = await environment(world)
    chance = random.Random(3)
    reported = [moment(chance) for _ in range(60)]

    async def report_all() -> None:
        for instances in reported:
            await report(world, one.id, instances)

    async def rebuild_on() -> int:
        mended = 0
        while not reporting.done():
            await sql(world.services, "DELETE FROM running WHERE NOT upper_inf(during)")
            await sql(world.services, "UPDATE deployments SET tag = 'x' WHERE removed_n IS NOT NULL")
            mended += (await rebuilt(world)).mended
        return mended

    reporting = asyncio.create_task(report_all())
    _, mended = await asyncio.gather(reporting, rebuild_on())
    assert mended > 0
    await rebuilt(world)
    assert (await rebuilt(world)).mended == 0
    async with world.services.database.read() as reader:
        places = [(one.id, n) for n in range(1, len(reported) + 1)]
        assert await instances_of(reader, world.tenant, places) == reported


async def test_a_report_waits_for_one_chunk(world: World) -> None:
    """Between two chunks an environment is free: what is reported then is looked at with the last one."""
    one = await environment(world)
    for n in range(1, 10):
        await report(world, one.id, {WEB: n})
    assert await sql(world.services, "DELETE FROM running WHERE NOT upper_inf(during)") > 8
    reports = 0
    async for _ in rebuild_environments(world.services.database, world.tenant):
        async with asyncio.timeout(5):
            await report(world, one.id, {WEB: 1, API: reports + 1})
        reports += 1
    assert reports > 3
    assert await rebuilt(world) == Progress(SNAPSHOTS + 9 + reports, 0)
