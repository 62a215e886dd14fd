"""The trails that lack something: what SQL can tell, what has to be judged, and totals over both."""

from typing import Any

import pytest

from domain.facts.artifacts import NewArtifact
from domain.facts.flows import Flow
from domain.facts.requirements import ANY_TYPE, ArtifactSlot, Requirement, RequirementSet, Template
from domain.facts.trails import Trail
from storage.facts.commands.artifacts import record_artifacts
from storage.facts.queries import collection
from storage.facts.queries.collection import Gap, list_gaps
from storage.paging import Page, Window
from storage.services import Services
from tests.storage.world import World

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
async def world(services: Services) -> World:
    return await World.founded(services)


async def gaps(world: World, window: Window | None = None, flow: Flow | None = None) -> Page[Gap]:
    async with world.services.database.snapshot() as reader:
        return await list_gaps(reader, world.tenant, window or Window(50), flow_id=flow.id if flow else None)


async def trail_with(world: World, flow: Flow, *reports: tuple[str, str] | tuple[str, str, str]) -> Trail:
    trail = await world.trail(flow)
    for type_, status, *name in reports:
        await world.attest(world.attestation(trail.id, type_, status, name=name[0] if name else None))
    return trail


def template(*requirements: Requirement, artifacts: tuple[ArtifactSlot, ...] = ()) -> Template:
    return Template("", RequirementSet(requirements, artifacts))


Reports = list[tuple[str, str] | tuple[str, str, str]]
NAMED = Requirement("junit", "unit")
NEVER = Requirement(ANY_TYPE, "review", 'flow.name == "no such flow"')

CASES: dict[str, tuple[dict[str, Any], Reports, bool]] = {
    "nothing asked, nothing there": ({}, [], False),
    "nothing asked, something failed": ({}, [("X", "FAILED")], False),
    "nothing there": ({"required": ["A"]}, [], True),
    "only pending": ({"required": ["A"]}, [("A", "PENDING")], True),
    "failed": ({"required": ["A"]}, [("A", "FAILED")], True),
    "one name of the type failed": ({"required": ["A"]}, [("A", "PASSED", "n"), ("A", "FAILED", "m")], True),
    "a half": ({"required": ["A", "B"]}, [("A", "PASSED")], True),
    "all passed": ({"required": ["A"]}, [("A", "PASSED")], False),
    "all passed, something else failed": ({"required": ["A"]}, [("A", "PASSED"), ("X", "FAILED")], False),
    "all passed, approval outstanding": ({"required": ["A"], "requires_approval": True}, [("A", "PASSED")], False),
    "template, nothing there": ({"template": template(NAMED)}, [], True),
    "template, half": ({"template": template(NAMED, Requirement("snyk"))}, [("junit", "PASSED", "unit")], True),
    "template, wrong type": ({"template": template(NAMED)}, [("snyk", "PASSED", "unit")], True),
    "template, failed": ({"template": template(NAMED)}, [("junit", "FAILED", "unit")], True),
    "template, passed": ({"template": template(NAMED)}, [("junit", "PASSED", "unit")], False),
    "template, passed, something else failed": (
        {"template": template(NAMED)},
        [("junit", "PASSED", "unit"), ("X", "FAILED")],
        False,
    ),
    "template, passed, approval outstanding": (
        {"template": template(NAMED), "requires_approval": True},
        [("junit", "PASSED", "unit")],
        False,
    ),
    "template that asks for nothing": ({"template": template()}, [], False),
    "template none of which applies": ({"template": template(NEVER)}, [], False),
    "template that counts, not the types beside it": ({"template": template(NEVER), "required": ["A"]}, [], False),
    "an artifact that nobody reported": ({"template": template(artifacts=(ArtifactSlot("app"),))}, [], True),
}


@pytest.mark.parametrize("case", CASES)
async def test_cases(world: World, case: str) -> None:
    options, reports, lacking = CASES[case]
    flow = await world.flow(
        *options.get("required", ()), **{key: options[key] for key in options.keys() - {"required"}}
    )
    trail = await trail_with(world, flow, *reports)
    page = await gaps(world)
    assert [gap.trail_id for gap in page.items] == ([trail.id] if lacking else [])
    assert (page.total, page.capped) == (int(lacking), False)


async def test_a_gap_says_what_is_missing_and_what_failed(world: World) -> None:
    flow = await world.flow("A", "B", "C")
    trail = await trail_with(world, flow, ("A", "FAILED"), ("B", "PASSED"))
    [gap] = (await gaps(world)).items
    assert (gap.flow_id, gap.git_commit_sha, gap.git_branch) == (flow.id, trail.git_commit_sha, "main")
    assert gap.status == "NON_COMPLIANT"
    assert (gap.completeness.missing_types, gap.completeness.failed_types) == (("C",), ("A",))


async def test_a_gap_of_a_template_names_names_and_artifacts(world: World) -> None:
    slots = (ArtifactSlot("app", (Requirement("snyk", "scan"),)), ArtifactSlot("db"))
    trail = await trail_with(world, await world.flow(template=template(NAMED, artifacts=slots)), ("X", "PASSED"))
    async with world.services.database.transaction() as tx:
        await record_artifacts(tx, world.tenant, [NewArtifact(trail.id, "app", DIGEST, world.actor)])
    [gap] = (await gaps(world)).items
    assert gap.completeness.missing_names == ("unit", "scan")
    assert gap.completeness.absent_artifacts == ("db",)


async def test_a_trails_own_template_stands_in_the_place_of_the_flows(world: World) -> None:
    trail = await world.trail(await world.flow("A"), template=template(NEVER))
    assert (await gaps(world)).items == []
    mended = await world.trail(await world.flow(template=template(NEVER)), template=template(NAMED))
    assert [gap.trail_id for gap in (await gaps(world)).items] == [mended.id]
    assert mended.id != trail.id


async def test_a_template_that_cannot_be_read_is_a_gap_that_says_so(world: World) -> None:
    trail = await world.trail(await world.flow(template=template(NAMED)))
    async with world.services.database.transaction() as tx:
        await tx.execute("UPDATE trails SET template = '{\"trail\": 5}' WHERE id = $1", trail.id)
    [gap] = (await gaps(world)).items
    assert gap.completeness.problem
    assert (await gaps(world)).total == 1


async def test_pages_lead_through_all_gaps_once_and_the_total_is_theirs(world: World) -> None:
    """Lists and templates, complete and lacking, in between each other: pages may be short, none is lost."""
    by_type, by_name = await world.flow("A"), await world.flow(template=template(NAMED))
    lacking = []
    for n in range(12):
        flow, passed = (by_type, ("A", "PASSED")) if n % 2 else (by_name, ("junit", "PASSED", "unit"))
        complete = n % 3 == 0
        trail = await trail_with(world, flow, *([passed] if complete else []), ("X", "FAILED"))
        lacking += [] if complete else [trail.id]
    assert len(lacking) == 8
    for size in (1, 2, 5, 50):
        found, window = [], Window(size)
        while True:
            page = await gaps(world, window)
            assert (page.total, page.capped) == (8, False)
            found += [gap.trail_id for gap in page.items]
            if page.next is None:
                break
            window = Window(size, after=page.next)
        assert found == lacking


async def test_gaps_of_one_flow(world: World) -> None:
    one, two = await world.flow("A"), await world.flow("A")
    trail = await world.trail(one)
    await world.trail(two)
    page = await gaps(world, flow=one)
    assert ([gap.trail_id for gap in page.items], page.total) == ([trail.id], 1)


async def test_gaps_of_another_organisation_are_not_ours(world: World, services: Services) -> None:
    stranger = await World.founded(services)
    flow = await world.flow("A")
    await world.trail(flow)
    assert (await gaps(stranger)).total == 0
    assert (await gaps(stranger, flow=flow)).items == []


async def test_a_total_that_is_not_counted_to_its_end_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = await world.flow(template=template(NAMED))
    for _ in range(4):
        await trail_with(world, flow, ("X", "FAILED"))
    assert ((await gaps(world)).total, (await gaps(world)).capped) == (4, False)
    monkeypatch.setattr(collection, "MAX_UNSURE", 3)
    page = await gaps(world)
    assert (len(page.items), page.total, page.capped) == (4, 3, True)
    monkeypatch.setattr("storage.paging.MAX_DEPTH", 2)
    sure = await world.flow("A")
    for _ in range(3):
        await world.trail(sure)
    page = await gaps(world, flow=sure)
    assert (page.total, page.capped) == (2, True)
