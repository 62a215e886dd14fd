"""Scans added up by day, whatever the time that is asked for, and their sums rebuilt."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID

import pytest

from domain.facts.trails import Trail
from domain.gates.security_scans import Counts, NewScan, SecurityScan, attestations_of, judge
from storage.facts.commands.attestations import record_attestations
from storage.gates.commands.security_scans import record_scan
from storage.gates.queries.scan_summaries import ScanSummary, day_of, summarise_scans
from storage.gates.rebuild import rebuild_scan_days
from storage.rebuild import Progress
from storage.services import Services
from tests.storage.shifted import later
from tests.storage.world import World

DAY, TICK = timedelta(days=1), timedelta(microseconds=1)
SEVERITIES = ("critical", "high", "medium", "low")


async def recorded(world: World, services: Services, trail: Trail, new: NewScan) -> SecurityScan:
    judgement = judge(new, None)
    async with services.database.transaction() as tx:
        made, _ = await record_attestations(tx, world.tenant, attestations_of(new, judgement, world.actor))
        place = {"flow_id": trail.flow_id, "attestation_id": made.id}
        return await record_scan(tx, world.tenant, new, judgement, **place, actor=world.actor)


async def scans_of_days(world: World) -> list[SecurityScan]:
    """Of two flows and two tools, on four days."""
    trails = [await world.trail(await world.flow()) for _ in range(2)]
    made = []
    for n, (days, trail, tool) in enumerate(product((0, 0.4, 1, 2.5, 3), trails, ("trivy", "snyk"))):
        new = NewScan(trail.id, tool, Counts(n % 3, n, 2 * n, 3 * n, n))
        made.append(await recorded(world, later(world.services, timedelta(days=days)), trail, new))
    return made


def added(scans: Iterable[SecurityScan]) -> ScanSummary:
    found = list(scans)
    sums = {severity: sum(getattr(one, severity) for one in found) for severity in SEVERITIES}
    return ScanSummary(scans=len(found), with_critical=sum(one.critical > 0 for one in found), **sums)


async def test_every_time_flow_and_tool(own_services: Services) -> None:
    world = await World.founded(own_services)
    await scans_of_days(await World.founded(own_services))
    made = await scans_of_days(world)
    midnight = day_of(made[-1].created_at)
    bounds = [
        made[0].created_at,
        made[0].created_at + TICK,
        made[10].created_at,
        midnight,
        midnight - TICK,
        midnight + DAY,
    ]
    flows: list[UUID | None] = [None, made[0].flow_id]
    async with own_services.database.read() as reader:
        for since, until in product([None, *bounds], repeat=2):
            if since and until and since > until:
                continue
            for flow, tool in product(flows, (None, "snyk")):
                expected = added(
                    one
                    for one in made
                    if (since is None or one.created_at >= since)
                    and (until is None or one.created_at <= until)
                    and flow in (None, one.flow_id)
                    and tool in (None, one.tool)
                )
                found = await summarise_scans(reader, world.tenant, flow_id=flow, tool=tool, since=since, until=until)
                assert found == expected, (since, until, flow, tool)


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (datetime.min.replace(tzinfo=UTC), None),
        (None, datetime.max.replace(tzinfo=UTC)),
        (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
    ],
)
async def test_the_first_and_the_last_moment(
    services: Services, since: datetime | None, until: datetime | None
) -> None:
    world = await World.founded(services)
    trail = await world.trail(await world.flow())
    await recorded(world, services, trail, NewScan(trail.id, "trivy", Counts(high=1)))
    async with services.database.read() as reader:
        assert await summarise_scans(reader, world.tenant, since=since, until=until) == ScanSummary(1, 0, 1, 0, 0, 0)
        last = datetime.max.replace(tzinfo=UTC)
        assert (await summarise_scans(reader, world.tenant, since=last)).scans == 0


async def test_scans_at_once_are_all_added_up(services: Services) -> None:
    world = await World.founded(services)
    flow = await world.flow()
    trails = [await world.trail(flow) for _ in range(8)]
    new = [NewScan(trail.id, "trivy", Counts(critical=1)) for trail in trails]
    await asyncio.gather(*(recorded(world, services, *one) for one in zip(trails, new, strict=True)))
    async with services.database.read() as reader:
        assert await summarise_scans(reader, world.tenant) == ScanSummary(8, 8, 0, 0, 0, 8)


async def test_wrong_sums_are_mended(own_services: Services) -> None:
    world = await World.founded(own_services)
    made = await scans_of_days(world)
    days = len({(one.flow_id, day_of(one.created_at), one.tool) for one in made})

    async def rebuilt() -> Progress:
        [progress] = [progress async for progress in rebuild_scan_days(own_services.database, world.tenant)]
        return progress

    assert await rebuilt() == Progress(days, 0)
    async with own_services.database.transaction() as tx:
        await tx.execute("UPDATE security_scan_days SET high = high + 1 WHERE tool = 'snyk'")
        await tx.execute(
            "UPDATE security_scan_days SET day = day - interval '9 days' WHERE flow_id = $1", made[0].flow_id
        )
    mended = await rebuilt()
    assert (mended.seen, mended.mended > 0) == (days, True)
    assert await rebuilt() == Progress(days, 0)
    async with own_services.database.read() as reader:
        assert await summarise_scans(reader, world.tenant) == added(made)


async def test_a_scan_waits_for_a_rebuild_and_is_in_its_sum(own_services: Services) -> None:
    world = await World.founded(own_services)
    trail = await world.trail(await world.flow())
    new = NewScan(trail.id, "trivy", Counts(low=1))

    async def rebuild() -> None:
        async for _ in rebuild_scan_days(own_services.database, world.tenant):
            pass

    await asyncio.gather(*(recorded(world, own_services, trail, new) for _ in range(5)), rebuild(), rebuild())
    async with own_services.database.read() as reader:
        assert (await summarise_scans(reader, world.tenant)).low == 5
