"""Policies of environments: what they find is what the gate finds, and what it costs for all that runs."""

import random
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.environments.compliance import AttachedPolicy
from domain.environments.environments import EnvironmentType, NewEnvironment
from domain.facts.approvals import Resolution
from domain.facts.artifacts import NewArtifact
from domain.facts.requirements import ArtifactSlot, Requirement, RequirementSet, Template
from domain.facts.trails import Trail
from domain.gates.evaluation import PolicyOutcome, evaluate, needed
from domain.gates.policies import NewAttachment, NewPolicy, PolicyKind, PolicySettings
from storage.database import Reader, Row
from storage.environments.commands.environments import create_environment
from storage.environments.queries.attached_policies import Artifacts, Policies, without_policies
from storage.environments.queries.compliance import Compliance, compliance_of_digests
from storage.facts.commands.artifacts import record_artifacts
from storage.facts.queries.held_reports import Subject, held_reports
from storage.gates.commands.attachments import attach_policy
from storage.gates.commands.policies import create_policy
from storage.gates.queries.environment_policies import findings_of_environments
from storage.gates.queries.evidence import sources_of
from storage.gates.queries.policies import policy_versions
from storage.services import Services
from tests.storage.gates.deciding import ask, decide, person
from tests.storage.world import World

TEMPLATE = Template("", RequirementSet(artifacts=(ArtifactSlot("app-1", (Requirement("BUILD", "unit"),)),)))
DEMANDS = (
    {"required_types": ["BUILD"]},
    {"required_types": ["REVIEW"], "enforce_provenance": True},
    {"enforce_approvals": True},
    {"enforce_trail_compliance": True, "block_failed_scans": True},
    {"yaml": "artifacts: {attestations: [{name: unit, type: BUILD, if: artifact.name == 'app-1'}]}"},
)

NAMES = {"BUILD": "unit", "REVIEW": None}


@pytest.fixture
async def world(services: Services) -> World:
    return await World.founded(services)


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


async def environment(world: World) -> UUID:
    new = NewEnvironment(f"environment-{uuid4().hex[:8]}", EnvironmentType.GENERIC)
    async with world.services.database.transaction() as tx:
        return (await create_environment(tx, world.tenant, new, world.actor)).id


async def attach(world: World, *environment_ids: UUID, **demands: object) -> UUID:
    settings = PolicySettings(f"policy-{uuid4().hex[:8]}", **demands)  # type: ignore[arg-type]
    async with world.services.database.transaction() as tx:
        policy = await create_policy(tx, world.tenant, NewPolicy(PolicyKind.ATTACHABLE, settings), world.actor)
        for one in environment_ids:
            await attach_policy(tx, world.tenant, NewAttachment(policy.id, environment_id=one), world.actor)
    return policy.id


async def report(world: World, trail: Trail, *numbers: int) -> None:
    async with world.services.database.transaction() as tx:
        new = [NewArtifact(trail.id, f"app-{n}", digest(n), world.actor) for n in numbers]
        await record_artifacts(tx, world.tenant, new)


async def judge(
    reader: Reader, world: World, numbers: Sequence[int], *places: UUID, policies: Policies = findings_of_environments
) -> Compliance:
    """All of them run everywhere."""
    running = {place: Artifacts.of([(f"app-{n}", digest(n)) for n in numbers]) for place in places}
    return await compliance_of_digests(reader, world.tenant, {digest(n) for n in numbers}, running, policies)


async def found_by_gate(world: World, number: int, place: UUID, policies: Sequence[AttachedPolicy]) -> set[str] | None:
    """Why an artifact does not fulfil policies, by the evidence that the gate decides by; None if none applies."""
    async with world.services.database.transaction() as tx:
        reports = (await held_reports(tx, world.tenant, [Subject(digest(number))])).get(0, ())
        versions = (await policy_versions(tx, world.tenant, {one.id: one.version for one in policies})).values()
        sources = await sources_of(tx, world.tenant, reports, needed(versions))
    evidence = [sources[one.report_id].evidence for one in reports]
    results = [evaluate(one, evidence, place) for one in versions]
    if all(one.outcome is PolicyOutcome.NOT_APPLICABLE for one in results):
        return None
    return {reason.message for one in results for reason in one.reasons}


async def test_the_state_is_what_the_gate_finds(world: World) -> None:
    """Of many artifacts, in threads, with each policy evaluated once; by flows of all kinds."""
    chance, numbers = random.Random(7), range(30)
    places = [await environment(world) for _ in range(3)]
    for demands in DEMANDS:
        await attach(world, *chance.sample(places, k=2), **demands)
    flows = [await world.flow("BUILD"), await world.flow(requires_approval=True), await world.flow()]
    for number in numbers:
        for flow in chance.sample(flows, k=chance.randint(1, 2)):
            trail = await world.trail(flow, template=TEMPLATE if number % 3 == 1 else None)
            await report(world, trail, number, 1)
            kinds = [(kind, chance.choice(["PASSED", "PASSED", "FAILED"])) for kind in ("BUILD", "REVIEW")]
            await world.attest(*(world.attestation(trail.id, *one, name=NAMES[one[0]]) for one in kinds))
            if chance.random() < 0.4:
                await world.attest(world.attestation(trail.id, "LINT", "FAILED", digest=digest(1)))
            if chance.random() < 0.7:
                approval = await ask(world, trail.id, environment_id=chance.choice([None, *places]))
                await decide(world, approval, person("bob"), chance.choice([*Resolution]))
    async with world.services.database.read() as reader:
        judged = await judge(reader, world, numbers, *places)
    outcomes = set()
    for place in places:
        findings = judged.by_policies[place]
        for number in numbers:
            lacking = findings.lacking.get((f"app-{number}", digest(number)))
            expected = await found_by_gate(world, number, place, findings.policies)
            assert (lacking is None) is (expected is None)
            assert {one.message for one in lacking or ()} == (expected or set())
            outcomes.add(lacking is not None and bool(lacking))
    assert outcomes == {True, False}


class Counting(Reader):
    """Counts what it reads."""

    statements = 0

    async def rows(self, sql: str, *args: Any) -> list[Row]:
        self.statements += 1
        return await super().rows(sql, *args)


async def test_policies_take_a_bounded_number_of_statements(world: World) -> None:
    """However many artifacts run, in however many environments, and whatever their policies look at."""
    places, idle = [await environment(world) for _ in range(3)], await environment(world)
    for _ in range(2):
        for demands in DEMANDS:
            await attach(world, *places, **demands)
    for first in (2, 52):
        await one_trail(world, range(first, first + 50))
    counts = []
    async with world.services.database.read() as reader:
        for numbers, where in ((range(9), ()), (range(9), [idle]), (range(2, 3), places[:1]), (range(300), places)):
            counting = Counting(reader.connection)
            await judge(counting, world, numbers, *where)
            counts.append(counting.statements)
    assert counts == [3, 4, 9, 9]


async def seconds(world: World, numbers: Sequence[int], *places: UUID, policies: Policies) -> float:
    """Processor time of one judgement: the least of several, so that nothing else counts."""
    times = []
    async with world.services.database.read() as reader:
        for _ in range(7):
            start = time.process_time()
            await judge(reader, world, numbers, *places, policies=policies)
            times.append(time.process_time() - start)
    return min(times)


async def one_trail(world: World, numbers: Sequence[int]) -> None:
    """All are reported on one trail, with an attestation of each."""
    trail = await world.trail(await world.flow("BUILD"), template=TEMPLATE)
    await report(world, trail, *numbers)
    await world.attest(*(world.attestation(trail.id, "BUILD", identity=f"i{n}", digest=digest(n)) for n in numbers))


async def test_twice_as_many_artifacts_of_a_trail_take_twice_as_long(world: World) -> None:
    """Judging the whole trail for each of them would take four times as long."""
    place, (few, many) = await environment(world), (range(2, 402), range(1000, 1800))
    await attach(world, place, enforce_trail_compliance=True, required_types=["BUILD"], enforce_approvals=True)
    await one_trail(world, few)
    await one_trail(world, many)
    found = [await seconds(world, one, place, policies=findings_of_environments) for one in (few, many)]
    assert found[1] < 3 * found[0]


async def test_policies_are_evaluated_once_wherever_an_artifact_runs(world: World) -> None:
    places, numbers = [await environment(world) for _ in range(20)], range(2, 302)
    for demands in DEMANDS:
        await attach(world, *places, **demands)
    await one_trail(world, numbers)
    found = [await seconds(world, numbers, *where, policies=findings_of_environments) for where in (places[:1], places)]
    assert found[1] < 6 * found[0]


async def test_an_environment_without_policies_is_judged_as_fast_as_before(world: World) -> None:
    place, numbers = await environment(world), range(500)
    await attach(world, await environment(world), required_types=["REVIEW"])
    await one_trail(world, numbers)
    known, unknown = [
        await seconds(world, numbers, place, policies=one) for one in (findings_of_environments, without_policies)
    ]
    assert known < 1.3 * unknown
