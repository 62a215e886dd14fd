"""Latest results: one for each identity; runs that newer ones superseded; attestations with several results."""

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from domain.facts.attestations import Attestation, NewAttestation
from domain.facts.requirements import Requirement, RequirementSet, Template
from domain.facts.trails import Trail
from storage.facts.queries.attestations import count_by_type, get_attestation
from storage.facts.queries.collection import evidence_of_trail, list_gaps
from storage.facts.queries.latest_results import latest_results_of
from storage.facts.queries.trails import get_trail
from storage.facts.rebuild import rebuild_latest_results
from storage.paging import Window
from storage.services import Services
from tests.storage.world import World

Report = dict[str, Any]


@pytest.fixture
async def world(services: Services) -> World:
    return await World.founded(services)


def result(minute: int, identity: str, run: str | None = None, status: str = "PASSED", **more: Any) -> Report:
    """What ran under that identity in that run; it is shown as `build` and was observed in that minute."""
    return {"minute": minute, "identity": identity, "run": run, "status": status, "name": "build", **more}


def new(world: World, trail: Trail, report: Report) -> NewAttestation:
    given = dict(report)
    observed_at = trail.created_at - timedelta(hours=1) + timedelta(minutes=given.pop("minute"))
    return world.attestation(trail.id, "BUILD", given.pop("status"), observed_at=observed_at, **given)


async def recorded(world: World, trail: Trail, *batches: Sequence[Report]) -> set[tuple[str, str]]:
    """What counts after the batches were recorded one after the other: identities with their statuses."""
    for batch in batches:
        await world.attest(*(new(world, trail, report) for report in batch))
    return await counting(world, trail)


async def counting(world: World, trail: Trail) -> set[tuple[str, str]]:
    async with world.services.database.read() as reader:
        latest = (await latest_results_of(reader, [trail.id]))[trail.id]
    return {(one.identity, one.status.value) for one in latest}


async def status_of(world: World, trail: Trail) -> str:
    async with world.services.database.read() as reader:
        return (await get_trail(reader, world.tenant, trail.id)).status


async def mended(world: World) -> int:
    return [step async for step in rebuild_latest_results(world.services.database, world.tenant)][-1].mended


PUSH, PULL = "ci.yml push", "ci.yml pull_request"
FIRST_FAILED = result(1, "job of run 1", "1", "FAILED")
STORIES: dict[str, tuple[list[Report], set[tuple[str, str]], str]] = {
    "a success hides no other failure of the same name": (
        [result(1, PULL, "1", "FAILED"), result(2, PUSH, "2")],
        {(PULL, "FAILED"), (PUSH, "PASSED")},
        "NON_COMPLIANT",
    ),
    "a new run heals whatever it is called": (
        [result(1, PUSH, "1", "FAILED", name="Deploy #41"), result(2, PUSH, "2", name="Deploy #42")],
        {(PUSH, "PASSED")},
        "COMPLIANT",
    ),
    "a superseded run takes with it what only it had": (
        [result(1, PUSH, "1"), FIRST_FAILED, result(2, PUSH, "2"), result(2, "job of run 2", "2")],
        {(PUSH, "PASSED"), ("job of run 2", "PASSED")},
        "COMPLIANT",
    ),
    "also what was observed after the newer run": (
        [result(1, PUSH, "1"), result(2, PUSH, "2"), result(3, "job of run 1", "1", "FAILED")],
        {(PUSH, "PASSED")},
        "COMPLIANT",
    ),
    "another identity's run supersedes nothing": (
        [result(1, PUSH, "1"), FIRST_FAILED, result(2, PULL, "2")],
        {(PUSH, "PASSED"), ("job of run 1", "FAILED"), (PULL, "PASSED")},
        "NON_COMPLIANT",
    ),
    "the same run again supersedes nothing": (
        [result(1, PUSH, "1"), FIRST_FAILED, result(2, PUSH, "1")],
        {(PUSH, "PASSED"), ("job of run 1", "FAILED")},
        "NON_COMPLIANT",
    ),
    "results without a run supersede nothing": (
        [result(1, PUSH, "1"), FIRST_FAILED, result(2, PUSH)],
        {(PUSH, "PASSED"), ("job of run 1", "FAILED")},
        "NON_COMPLIANT",
    ),
    "an old run that is run again is the newest": (
        [
            result(1, PUSH, "1"),
            FIRST_FAILED,
            result(2, PUSH, "2"),
            result(2, "job of run 2", "2"),
            result(3, PUSH, "1"),
        ],
        {(PUSH, "PASSED"), ("job of run 1", "FAILED")},
        "NON_COMPLIANT",
    ),
    "of three runs the newest": (
        [result(1, PUSH, "1", "FAILED"), FIRST_FAILED, result(2, PUSH, "2", "FAILED"), result(3, PUSH, "3")],
        {(PUSH, "PASSED")},
        "COMPLIANT",
    ),
    "if a part of the older run ran again, both runs count": (
        [
            result(1, "a", "1"),
            result(1, "b", "1"),
            result(2, "a", "2"),
            result(2, "b", "2"),
            result(3, "b", "1", "FAILED"),
        ],
        {("a", "PASSED"), ("b", "FAILED")},
        "NON_COMPLIANT",
    ),
}


@pytest.mark.parametrize("story", STORIES)
async def test_stories_in_any_order_of_arrival(world: World, story: str) -> None:
    """As they happened, backwards, shuffled, one by one and in one batch."""
    reports, counted, status = STORIES[story]
    shuffled = random.Random(story).sample(reports, len(reports))
    for batches in (
        [reports],
        [reports[::-1]],
        [[one] for one in reports],
        [[one] for one in reports[::-1]],
        [[one] for one in shuffled],
        [shuffled[:2], shuffled[2:]],
    ):
        trail = await world.trail(await world.flow())
        assert await recorded(world, trail, *batches) == counted, batches
        assert await status_of(world, trail) == status
    assert await mended(world) == 0


async def test_results_as_they_may_come(world: World) -> None:
    """Of any reports, in any order and any batches, the same count: those that a rebuild finds as well."""
    chance = random.Random(11)
    for _ in range(8):
        reports = [
            result(
                minute,
                chance.choice("abc"),
                chance.choice([None, "1", "2", "3"]),
                chance.choice(["PASSED", "FAILED", "PENDING"]),
                name=chance.choice(["build", "test", None]),
                digest=chance.choice([None, None, None, "sha256:aa"]),
            )
            for minute in range(chance.randrange(2, 9))
        ]
        found = set()
        for _ in range(3):
            trail = await world.trail(await world.flow("BUILD"))
            mixed = chance.sample(reports, len(reports))
            cut = chance.randrange(len(mixed))
            counted = await recorded(world, trail, mixed[:cut], mixed[cut:])
            async with world.services.database.read() as reader:
                lacking = (await evidence_of_trail(reader, world.tenant, trail.id)).completeness
                gaps = await list_gaps(reader, world.tenant, Window(1), flow_id=trail.flow_id)
            assert gaps.total == len(gaps.items) == (not lacking.complete)
            found.add((frozenset(counted), await status_of(world, trail), lacking))
        assert len(found) == 1
    assert await mended(world) == 0


async def test_requirements_ask_for_every_identity(world: World) -> None:
    template = Template("", RequirementSet((Requirement("BUILD", "build"),)))
    for flow in (await world.flow(template=template), await world.flow("BUILD")):
        trail = await world.trail(flow)
        await recorded(world, trail, [result(1, PUSH), result(2, PULL, status="PENDING")])
        assert await status_of(world, trail) == "PENDING"
        async with world.services.database.read() as reader:
            assert (await list_gaps(reader, world.tenant, Window(5), flow_id=flow.id)).total == 1
        await recorded(world, trail, [result(3, PULL)])
        assert await status_of(world, trail) == "COMPLIANT"
        async with world.services.database.read() as reader:
            assert (await list_gaps(reader, world.tenant, Window(5), flow_id=flow.id)).total == 0


async def shown(world: World, attestation: Attestation) -> tuple[str, str | None, int]:
    async with world.services.database.read() as reader:
        found = await get_attestation(reader, world.tenant, attestation.trail_id, attestation.id)
        counts = await count_by_type(reader, world.tenant, attestation.trail_id)
    assert counts == {("BUILD", found.status): 1}
    return found.status, found.details, found.result_n


async def test_the_result_that_decides_is_shown_and_counted(world: World) -> None:
    trail = await world.trail(await world.flow("BUILD"))
    [attestation] = await world.attest(world.attestation(trail.id, "BUILD", "PENDING", details="as reported"))
    assert await shown(world, attestation) == ("PENDING", "as reported", 1)
    for file, status, expected, verdict in (
        ("a.xml", "FAILED", ("FAILED", "{}", 2), "NON_COMPLIANT"),
        ("b.xml", "PASSED", ("FAILED", "{}", 2), "NON_COMPLIANT"),
        ("a.xml", "PASSED", ("PASSED", "{}", 4), "COMPLIANT"),
    ):
        await world.judge(attestation, status, file=file)
        assert await shown(world, attestation) == expected
        assert await counting(world, trail) == {("type:BUILD", expected[0])}
        assert await status_of(world, trail) == verdict
    assert await mended(world) == 0


async def test_a_file_does_not_overrule_a_failed_report(world: World) -> None:
    trail = await world.trail(await world.flow("BUILD"))
    [attestation] = await world.attest(world.attestation(trail.id, "BUILD", "FAILED", details="as reported"))
    await world.judge(attestation, "PASSED", file="a.xml")
    assert await shown(world, attestation) == ("FAILED", "as reported", 1)
    assert await status_of(world, trail) == "NON_COMPLIANT"


async def test_a_file_of_an_older_attestation_changes_nothing_of_the_newest(world: World) -> None:
    trail = await world.trail(await world.flow("BUILD"))
    [older] = await world.attest(world.attestation(trail.id, "BUILD", "PENDING"))
    await world.attest(world.attestation(trail.id, "BUILD", "PASSED"))
    await world.judge(older, "FAILED", file="a.xml")
    assert await counting(world, trail) == {("type:BUILD", "PASSED")}
    assert await status_of(world, trail) == "COMPLIANT"


JUDGEMENTS = {
    "gone": "DELETE FROM judgements WHERE org_id = $1",
    "of another result": "UPDATE judgements SET result_n = 1 WHERE org_id = $1",
    "of what has one result": "INSERT INTO judgements SELECT a.id, a.org_id, 2 FROM attestations a "
    "WHERE a.org_id = $1 AND NOT EXISTS (SELECT FROM judgements j WHERE j.attestation_id = a.id)",
    "of nothing": "INSERT INTO judgements VALUES (gen_random_uuid(), $1, 2)",
}


@pytest.mark.parametrize("what", JUDGEMENTS)
async def test_judgements_are_rebuilt(world: World, what: str) -> None:
    trail = await world.trail(await world.flow("BUILD"))
    one, _ = await world.attest(world.attestation(trail.id, "BUILD"), world.attestation(trail.id, "TEST"))
    await world.judge(one, "FAILED", file="a.xml")
    async with world.services.database.transaction() as tx:
        assert await tx.execute(JUDGEMENTS[what], world.tenant.org_id) == 1
    assert await mended(world) >= 1
    assert await mended(world) == 0
    assert await counting(world, trail) == {("type:BUILD", "FAILED"), ("type:TEST", "PASSED")}
