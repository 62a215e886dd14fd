"""What a key with scopes reaches: lists and single facts of its flows and repositories, and nothing else."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.errors import NotFound
from domain.facts.artifacts import NewArtifact
from domain.facts.evidence import NewEvidence
from domain.facts.flows import FlowChange
from domain.facts.trails import NewTrail, Trail
from domain.identity.scopes import Scopes
from domain.tenant import Tenant
from storage.database import Reader
from storage.facts.commands.artifacts import record_artifacts
from storage.facts.commands.assertions import NewAssertion, decide
from storage.facts.commands.attestations import record_attestations
from storage.facts.commands.evidence import attach_reference
from storage.facts.commands.flows import archive_flow, update_flow
from storage.facts.commands.trails import open_trails
from storage.facts.queries.artifacts import list_artifacts
from storage.facts.queries.attestations import get_attestation, list_attestations
from storage.facts.queries.collection import list_gaps
from storage.facts.queries.evidence import find_by_digest, find_target, get_evidence
from storage.facts.queries.flows import get_flow, list_flows
from storage.facts.queries.trails import flows_of_trails, get_trail, list_flow_trails, list_trails
from storage.facts.queries.verdicts import get_verdict, list_verdicts
from storage.paging import Page, Window
from storage.services import Services
from tests.storage.world import World

DIGEST = "sha256:" + "a" * 64
FILE = "sha256:" + "b" * 64
APP, LIB = "acme/app", "acme/lib"


@dataclass
class Place:
    """Flows `a` and `b`; on each a trail of APP, one of LIB and one of no repository, all with the same artifact."""

    world: World
    flows: dict[str, UUID]
    trails: list[Trail]
    facts: dict[UUID, dict[str, UUID]]
    """The ids of what is recorded on each trail, by kind."""

    def tenant(self, *scopes: str) -> Tenant:
        """With scopes, in which `flow:a` stands for the id of the flow."""
        texts = [f"flow:{self.flows[one[5:]]}" if one in {"flow:a", "flow:b"} else one for one in scopes]
        return replace(self.world.tenant, scopes=Scopes.of(texts))

    def reached(self, *scopes: str) -> list[Trail]:
        """The trails that these scopes are meant to reach, one by one."""
        return [
            trail
            for trail in self.trails
            if any(trail.flow_id == self.flows[name] for name in self.flows if f"flow:{name}" in scopes)
            or f"repo:{trail.git_repository}" in scopes
        ]


@pytest.fixture
async def place(services: Services) -> Place:
    world = await World.founded(services)
    flows = {name: await world.flow("BUILD") for name in "ab"}
    trails = [
        await world.trail(flow, git_repository=repository) for repository in (APP, LIB, None) for flow in flows.values()
    ]
    facts = {trail.id: await record_on(world, trail) for trail in trails}
    return Place(world, {name: flow.id for name, flow in flows.items()}, trails, facts)


async def record_on(world: World, trail: Trail) -> dict[str, UUID]:
    [attestation] = await world.attest(world.attestation(trail.id, "TEST"))
    async with world.services.database.transaction() as tx:
        artifact = NewArtifact(trail_id=trail.id, digest=DIGEST, name="app", actor=world.actor)
        [report] = await record_artifacts(tx, world.tenant, [artifact])
        new = NewEvidence(
            trail.id, attestation.id, FILE, "f", 1, "text/xml", world.actor, "https://files.example.com/1"
        )
        evidence = await attach_reference(tx, world.tenant, new, most=9)
        [decision] = await decide(tx, world.tenant, [NewAssertion(DIGEST, world.actor, trail_id=trail.id)])
    return {
        "attestation": attestation.id,
        "artifact": report.id,
        "evidence": evidence.id,
        "verdict": decision.verdict.id,
    }


SCOPES = [
    ("flow:a",),
    ("flow:a", "flow:b"),
    (f"repo:{APP}",),
    (f"repo:{APP}", f"repo:{LIB}"),
    ("flow:a", f"repo:{APP}"),
    ("flow:b", f"repo:{LIB}", "repo:acme/other"),
    (f"environment:{uuid4()}",),
    ("planet:earth",),
    (f"flow:{uuid4()}",),
    ("flow:nonsense",),
]

List = Callable[[Reader, Tenant, Window], Awaitable[Page[Any]]]
LISTS: dict[str, tuple[List, Callable[[Any], UUID]]] = {
    "trails": (list_trails, lambda trail: trail.id),
    "trails by status": (
        lambda reader, tenant, window: list_trails(reader, tenant, window, status="PENDING"),  # type: ignore[arg-type]
        lambda trail: trail.id,
    ),
    "artifacts": (
        lambda reader, tenant, window: list_artifacts(reader, tenant, DIGEST, window),
        lambda report: report.trail_id,
    ),
    "verdicts": (list_verdicts, lambda verdict: verdict.trail_id),
    "gaps": (list_gaps, lambda gap: gap.trail_id),
}


async def walked(place: Place, find: List, tenant: Tenant, *, descending: bool) -> tuple[list[Any], set[int]]:
    """All rows by cursor, two at a time, and the totals that the pages showed."""
    rows: list[Any] = []
    totals = set()
    window = Window(2, descending=descending)
    async with place.world.services.database.read() as reader:
        while True:
            page = await find(reader, tenant, window)
            rows += page.items
            totals.add(page.total)
            if page.next is None:
                return rows, totals
            window = Window(2, after=page.next, descending=descending)


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_shows_what_is_within_the_scopes_in_order_and_its_total(place: Place, name: str) -> None:
    find, trail_of = LISTS[name]
    for scopes in SCOPES:
        expected = [trail.id for trail in place.reached(*scopes)]
        for descending in (False, True):
            rows, totals = await walked(place, find, place.tenant(*scopes), descending=descending)
            assert [trail_of(row) for row in rows] == (expected[::-1] if descending else expected), scopes
            assert totals == {len(expected)}, scopes
        async with place.world.services.database.read() as reader:
            second = await find(reader, place.tenant(*scopes), Window(2, 1))
        assert [trail_of(row) for row in second.items] == expected[2:4], scopes


async def test_filters_by_flow_do_not_widen_the_scopes(place: Place) -> None:
    async with place.world.services.database.read() as reader:
        for find in (list_trails, list_verdicts, list_gaps):
            page: Page[Any] = await find(reader, place.tenant("flow:a"), Window(9), flow_id=place.flows["b"])
            assert (page.items, page.total) == ([], 0)
            page = await find(reader, place.tenant(f"repo:{APP}"), Window(9), flow_id=place.flows["b"])
            assert page.total == len(page.items) == 1
        page = await list_artifacts(reader, place.tenant("flow:a"), DIGEST, Window(9), flow_id=place.flows["b"])
        assert (page.items, page.total) == ([], 0)


async def exists(reading: Awaitable[Any]) -> bool:
    try:
        await reading
    except NotFound:
        return False
    return True


@pytest.mark.parametrize("scopes", SCOPES, ids=range(len(SCOPES)))
async def test_single_facts_exist_within_the_scopes_only(place: Place, scopes: tuple[str, ...]) -> None:
    tenant, reached = place.tenant(*scopes), {trail.id for trail in place.reached(*scopes)}
    async with place.world.services.database.read() as reader:
        for trail in place.trails:
            ids = place.facts[trail.id]
            found = [
                await exists(get_trail(reader, tenant, trail.id)),
                await exists(list_attestations(reader, tenant, trail.id, Window(9))),
                await exists(get_attestation(reader, tenant, trail.id, ids["attestation"])),
                await exists(find_target(reader, tenant, ids["attestation"])),
                await exists(get_evidence(reader, tenant, ids["evidence"])),
                await exists(get_verdict(reader, tenant, ids["verdict"])),
                bool(await flows_of_trails(reader, tenant, [trail.id])),
            ]
            assert found == [trail.id in reached] * len(found)
        assert await exists(find_by_digest(reader, tenant, FILE)) == bool(reached)
        if reached:
            assert (await find_by_digest(reader, tenant, FILE)).trail_id in reached


async def test_flows_need_a_scope_of_their_own(place: Place) -> None:
    both = place.tenant("flow:a", f"repo:{APP}")
    async with place.world.services.database.read() as reader:
        page = await list_flows(reader, both, Window(9))
        assert ([flow.id for flow in page.items], page.total) == ([place.flows["a"]], 1)
        assert await exists(get_flow(reader, both, place.flows["a"]))
        assert not await exists(get_flow(reader, both, place.flows["b"]))
        assert not await exists(list_flow_trails(reader, both, place.flows["b"], Window(9)))
        assert (await list_flows(reader, place.tenant(f"repo:{APP}"), Window(9))).total == 0


@pytest.mark.parametrize("scopes", SCOPES, ids=range(len(SCOPES)))
async def test_facts_are_recorded_within_the_scopes_only(place: Place, scopes: tuple[str, ...]) -> None:
    world, tenant, reached = place.world, place.tenant(*scopes), {trail.id for trail in place.reached(*scopes)}
    for trail in place.trails:
        new = world.attestation(trail.id, "SCAN")
        artifact = NewArtifact(trail_id=trail.id, digest=DIGEST, name="other", actor=world.actor)
        allowed = []
        for act in (
            lambda tx, new=new: record_attestations(tx, tenant, [new]),
            lambda tx, artifact=artifact: record_artifacts(tx, tenant, [artifact]),
            lambda tx, trail=trail: decide(tx, tenant, [NewAssertion(DIGEST, world.actor, trail_id=trail.id)]),
        ):
            async with world.services.database.transaction(dry_run=True) as tx:
                allowed.append(await exists(act(tx)))
        assert allowed == [trail.id in reached] * 3


async def test_a_trail_is_opened_in_a_flow_or_of_a_repository_within_the_scopes(place: Place) -> None:
    async def opened(tenant: Tenant, flow: str, repository: str | None) -> bool:
        new = NewTrail(
            place.flows[flow], place.world.actor, "c" * 40, "main", "A", "a@b.example", git_repository=repository
        )
        async with place.world.services.database.transaction(dry_run=True) as tx:
            return await exists(open_trails(tx, tenant, [new]))

    assert await opened(place.tenant("flow:a"), "a", None)
    assert await opened(place.tenant(f"repo:{APP}"), "a", APP)
    assert not await opened(place.tenant("flow:a"), "b", APP)
    assert not await opened(place.tenant(f"repo:{APP}"), "a", LIB)
    assert not await opened(place.tenant(f"repo:{APP}"), "a", None)


async def test_scopes_never_change_which_report_a_verdict_is_about(place: Place) -> None:
    """The newest report in each flow is on the trail without a repository."""
    world = place.world

    async def decided(tenant: Tenant, flow: str) -> bool:
        async with world.services.database.transaction(dry_run=True) as tx:
            return await exists(decide(tx, tenant, [NewAssertion(DIGEST, world.actor, place.flows[flow])]))

    assert await decided(place.tenant("flow:a"), "a")
    assert not await decided(place.tenant("flow:a"), "b")
    assert not await decided(place.tenant(f"repo:{APP}"), "a")
    await record_on(world, await trail_of(place, "a", APP))
    assert await decided(place.tenant(f"repo:{APP}"), "a")


async def trail_of(place: Place, flow: str, repository: str) -> Trail:
    async with place.world.services.database.read() as reader:
        found = await get_flow(reader, place.world.tenant, place.flows[flow])
    return await place.world.trail(found, git_repository=repository)


async def test_a_flow_is_changed_within_the_scopes_only(place: Place) -> None:
    change: FlowChange = {"description": "another"}
    for name, allowed in (("a", True), ("b", False)):
        async with place.world.services.database.transaction(dry_run=True) as tx:
            changing = update_flow(tx, place.tenant("flow:a"), place.flows[name], change, place.world.actor)
            assert await exists(changing) is allowed
    async with place.world.services.database.transaction(dry_run=True) as tx:
        assert not await exists(archive_flow(tx, place.tenant("flow:a"), place.flows["b"], place.world.actor))
