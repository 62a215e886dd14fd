"""What the gate asks about scans, and what they cost."""

from uuid import UUID

from domain.facts.attestations import Attestation
from domain.gates.evaluation import ScanFinding
from domain.gates.security_scans import Counts, NewScan, SecurityScan, attestations_of, judge
from storage.facts.commands.attestations import record_attestations
from storage.gates.commands.security_scans import record_scan
from storage.gates.queries.security_scans import breached_scans
from storage.services import Services
from tests.storage.world import World


async def recorded(world: World, new: NewScan, flow_id: UUID) -> tuple[SecurityScan, list[Attestation]]:
    judgement = judge(new, None)
    async with world.services.database.transaction() as tx:
        made = await record_attestations(tx, world.tenant, attestations_of(new, judgement, world.actor))
        place = {"flow_id": flow_id, "attestation_id": made[0].id}
        return await record_scan(tx, world.tenant, new, judgement, **place, actor=world.actor), made


async def test_the_scans_behind_failed_attestations(services: Services) -> None:
    world = await World.founded(services)
    flow = await world.flow()
    trail = await world.trail(flow)
    _, breached = await recorded(world, NewScan(trail.id, "trivy", Counts(critical=2), passed=False), flow.id)
    _, good = await recorded(world, NewScan(trail.id, "snyk", Counts(high=2)), flow.id)
    [other] = await world.attest(world.attestation(trail.id, "BUILD", "FAILED"))
    ids = [one.id for one in (*breached, *good, other)]
    stranger = await World.founded(services)
    async with services.database.read() as reader:
        found = await breached_scans(reader, world.tenant, ids)
        assert await breached_scans(reader, stranger.tenant, ids) == {}
        assert await breached_scans(reader, world.tenant, []) == {}
    reasons = ("critical: 2 found, at most 0 allowed", "The scan was reported as not passed.")
    assert found == {breached[0].id: ScanFinding("trivy", reasons)}


async def test_a_scan_that_ran_here_says_which_it_was(services: Services) -> None:
    world = await World.founded(services)
    flow = await world.flow()
    trail = await world.trail(flow)
    scan, _ = await recorded(world, NewScan(trail.id, "grype", Counts(), source_ref="scans 7"), flow.id)
    assert scan.source_ref == "scans 7"
