"""Judging many digests at once: what it costs, and that every way of asking finds the same."""

import random
import time
from collections.abc import Sequence

import pytest

from domain.environments.compliance import ComplianceState
from domain.facts.artifacts import NewArtifact
from domain.facts.evaluation import about
from domain.facts.requirements import ArtifactSlot, Requirement, RequirementSet, Template
from storage.environments.queries.compliance import compliance_of_digests
from storage.facts.commands.artifacts import record_artifacts
from storage.facts.queries.latest_results import latest_results_of
from storage.facts.queries.newest_reports import newest_reports
from storage.services import Services
from tests.storage.world import World

GOOD, BAD, UNKNOWN = ComplianceState.COMPLIANT, ComplianceState.NON_COMPLIANT, ComplianceState.UNKNOWN


@pytest.fixture
async def world(services: Services) -> World:
    return await World.founded(services)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


async def report(world: World, *new: NewArtifact) -> None:
    async with world.services.database.transaction() as tx:
        await record_artifacts(tx, world.tenant, new)


async def one_trail(world: World, numbers: Sequence[int]) -> None:
    """All are reported on one trail, with an attestation of each."""
    trail = await world.trail(await world.flow("BUILD"))
    await report(world, *(NewArtifact(trail.id, f"app-{n}", digest(n), world.actor) for n in numbers))
    await world.attest(*(world.attestation(trail.id, "BUILD", identity=f"i{n}", digest=digest(n)) for n in numbers))


async def seconds(world: World, numbers: Sequence[int]) -> float:
    """Processor time of one judgement: the least of several, so that nothing else counts."""
    times = []
    async with world.services.database.read() as reader:
        for _ in range(5):
            start = time.process_time()
            found = await compliance_of_digests(reader, world.tenant, [digest(n) for n in numbers])
            times.append(time.process_time() - start)
            assert {one.state for one in found.by_flows.values()} == {GOOD}
    return min(times)


async def test_twice_as_many_artifacts_of_a_trail_take_twice_as_long(world: World) -> None:
    """Going through the whole trail for each of them would take four times as long."""
    few, many = range(800), range(1000, 2600)
    await one_trail(world, few)
    await one_trail(world, many)
    assert await seconds(world, many) < 3 * await seconds(world, few)


async def test_one_digest_is_judged_as_among_many(world: World) -> None:
    """On the event loop and in a thread, with flows that say different things."""
    flows = [await world.flow(*required) for required in (["BUILD"], ["REVIEW"], [])]
    chance = random.Random(7)
    for number in range(90):
        for flow in chance.sample(flows, k=chance.randint(0, 3)):
            trail = await world.trail(flow)
            await report(world, NewArtifact(trail.id, "app", digest(number), world.actor))
            if chance.random() < 0.7:
                await world.attest(world.attestation(trail.id, chance.choice(["BUILD", "REVIEW"])))
    async with world.services.database.read() as reader:
        together = await compliance_of_digests(reader, world.tenant, [digest(n) for n in range(90)])
        for number in range(90):
            alone = await compliance_of_digests(reader, world.tenant, [digest(number)])
            assert alone.by_flows == {digest(number): together.by_flows[digest(number)]}
    assert {one.state for one in together.by_flows.values()} == {GOOD, BAD, UNKNOWN}


async def test_an_artifact_has_the_results_that_the_evaluation_selects(world: World) -> None:
    template = Template("", RequirementSet(artifacts=(ArtifactSlot("app", (Requirement("BUILD", "unit"),)),)))
    trail = await world.trail(await world.flow(), template=template)
    new = [("app", 1), ("app", 2), ("web", 3)]
    await report(world, *(NewArtifact(trail.id, name, digest(number), world.actor) for name, number in new))
    subjects = [(slot, of) for slot in (None, "app", "web") for of in (None, digest(1), digest(2), digest(3))]
    await world.attest(
        *(world.attestation(trail.id, "BUILD", identity=f"{slot}{of}", slot=slot, digest=of) for slot, of in subjects)
    )
    async with world.services.database.read() as reader:
        reports = await newest_reports(reader, world.tenant, [digest(number) for _, number in new])
        latest = (await latest_results_of(reader, [trail.id]))[trail.id]
    assert len(latest) == len(subjects)
    for [found] in reports.values():
        assert sorted(found.latest) == sorted(about(found.candidate, latest))
        assert len(found.latest) == 4


async def test_a_digest_that_is_reported_again_and_again_is_judged_by_the_last_report(world: World) -> None:
    flows = [await world.flow("BUILD") for _ in range(3)]
    for _ in range(5):
        for flow in flows:
            trail = await world.trail(flow)
            await report(world, NewArtifact(trail.id, "app", digest(1), world.actor))
            await world.attest(world.attestation(trail.id, "BUILD"))
    async with world.services.database.read() as reader:
        found = await newest_reports(reader, world.tenant, [digest(1), digest(2)])
        verdict = (await compliance_of_digests(reader, world.tenant, [digest(1)])).by_flows[digest(1)]
    assert [one.flow_id for one in found[digest(1)]] == [flow.id for flow in reversed(flows)]
    assert (list(found), verdict.state, verdict.trail_id) == ([digest(1)], GOOD, trail.id)
