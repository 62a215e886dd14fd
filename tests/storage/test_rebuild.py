"""Derived rows made anew are what the commands had written, whatever happened to them and whoever writes meanwhile."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from domain.errors import Conflict
from domain.identity.quotas import PERIODS
from domain.tenant import Tenant
from storage.counters import fold, total
from storage.facts import rebuild as facts
from storage.facts.rebuild import COUNTS, rebuild_edges, rebuild_latest_results
from storage.ledger import rebuild as ledger
from storage.ledger.rebuild import rebuild_tiles
from storage.rebuild import CORE_COUNTS, Progress, rebuild_counters
from storage.schema import DERIVED, tables_of
from storage.services import Services
from tests.storage.sealing import inspected, seal_waiting, sign
from tests.storage.world import World

NOBODY = UUID(int=0)

CONTENT = {
    "latest results": "SELECT org_id, trail_id, slot, digest, identity, name, type, run, earlier_runs::text, "
    "attestation_id, result_n, status, observed_at, superseded FROM latest_results",
    "judgements": "SELECT org_id, attestation_id, result_n FROM judgements",
    "status": "SELECT id, status FROM trails",
    "edges": "SELECT * FROM edges",
    "tiles": "SELECT * FROM ledger_tiles",
    "counters": "SELECT org_id, kind, parent_id, sum(n) FROM (SELECT org_id, kind, parent_id, n FROM counters "
    "UNION ALL SELECT org_id, kind, parent_id, d FROM counter_deltas) AS c "
    f"WHERE kind NOT IN ({', '.join(repr(str(quota)) for quota in PERIODS)}) "  # what a rate counted is not recounted
    "GROUP BY 1, 2, 3 HAVING sum(n) <> 0",
}


async def content(services: Services) -> dict[str, set[tuple[Any, ...]]]:
    """Everything derived, as it stands."""
    async with services.database.read() as reader:
        return {name: {tuple(row) for row in await reader.rows(sql)} for name, sql in CONTENT.items()}


async def run(services: Services, tenant: Tenant) -> dict[str, Progress]:
    """Every rebuild, once."""

    async def last(steps: AsyncIterator[Progress]) -> Progress:
        seen = [step async for step in steps]
        assert [step.seen for step in seen] == sorted(step.seen for step in seen), "progress only grows"
        return seen[-1]

    database = services.database
    return {
        "latest": await last(rebuild_latest_results(database, tenant)),
        "edges": await last(rebuild_edges(database, tenant)),
        "tiles": await last(rebuild_tiles(database, tenant)),
        "counters": await last(rebuild_counters(database, tenant, (*CORE_COUNTS, *COUNTS))),
    }


async def sql(services: Services, statement: str, *args: object) -> int:
    async with services.database.transaction() as tx:
        return await tx.execute(statement, *args)


@pytest.fixture
async def world(own_services: Services) -> World:
    """Trails in every status, names and digests that replace each other, out of order; partly folded, all sealed."""
    world = await World.founded(own_services)
    chance = random.Random(7)
    strict, loose = await world.flow("BUILD", "TEST"), await world.flow()
    for n in range(7):
        trail = await world.trail(chance.choice([strict, loose]), git_repository="o/r" if n % 2 else None)
        for _ in range(chance.randrange(9)):
            status = chance.choices(["PASSED", "FAILED", "PENDING"], [5, 2, 1])[0]
            name, digest = chance.choice([None, "", "unit"]), chance.choice([None, "sha256:aa"])
            seen_at = own_services.clock.now() - timedelta(minutes=chance.randrange(5))
            kind, run = chance.choice(["BUILD", "TEST"]), chance.choice([None, "1", "2"])
            new = world.attestation(trail.id, kind, status, name=name, run=run, digest=digest, observed_at=seen_at)
            [attestation] = await world.attest(new)
            if chance.random() < 0.2:
                await world.judge(attestation, chance.choice(["PASSED", "FAILED"]), file="report.xml")
    async with own_services.database.transaction() as tx:
        await fold(tx, 20)
        await seal_waiting(own_services, tx, world.tenant.org_id)
    return world


async def test_a_rebuild_of_what_is_right_changes_nothing(own_services: Services, world: World) -> None:
    before = await content(own_services)
    assert len({status for _, status in before["status"]}) == 3, "the world has trails in every status"
    found = await run(own_services, world.tenant)
    assert {name: progress.mended for name, progress in found.items()} == dict.fromkeys(found, 0)
    assert found["latest"].seen == found["edges"].seen == 7
    assert await content(own_services) == before


async def test_chunks_do_not_show(own_services: Services, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = await content(own_services)
    monkeypatch.setattr(facts, "CHUNK", 2)
    monkeypatch.setattr(ledger, "CHUNK", 3)
    await sql(own_services, "DELETE FROM latest_results")
    await sql(own_services, "DELETE FROM ledger_tiles WHERE org_id = $1", world.tenant.org_id)
    await run(own_services, world.tenant)
    assert await content(own_services) == before


CORRUPTIONS = {
    "all gone": "DELETE FROM latest_results",
    "of the wrong attestation": "UPDATE latest_results SET attestation_id = gen_random_uuid(), status = 'FAILED'",
    "of a trail that is none": "UPDATE latest_results SET trail_id = gen_random_uuid()",
    "of another slot": "UPDATE latest_results SET slot = 'x'",
    "of another time": "UPDATE latest_results SET observed_at = now() + interval '1 day', type = 'x'",
    "of other runs": "UPDATE latest_results SET earlier_runs = '{x}', run = 'y'",
    "all superseded": "UPDATE latest_results SET superseded = true",
    "judgements gone": "DELETE FROM judgements",
    "judgements of the wrong result": "UPDATE judgements SET result_n = 7",
    "judgements of nothing": "INSERT INTO judgements SELECT gen_random_uuid(), org_id, 2 FROM judgements",
    "statuses": "UPDATE trails SET status = CASE status WHEN 'PENDING' THEN 'COMPLIANT' ELSE 'PENDING' END",
    "all edges gone": "DELETE FROM edges",
    "edges to the wrong commit": "UPDATE edges SET to_key = to_key || 'x'",
    "edges by the wrong event": "UPDATE edges SET event_id = gen_random_uuid()",
    "totals doubled": "UPDATE counters SET n = n * 2",
    "totals gone": "DELETE FROM counters",
    "deltas gone": "DELETE FROM counter_deltas",
    "totals of parents that are none": "INSERT INTO counters SELECT org_id, kind, gen_random_uuid(), 3 FROM counters",
    "deltas written twice": "INSERT INTO counter_deltas SELECT gen_random_uuid(), org_id, kind, parent_id, d "
    "FROM counter_deltas",
    "all tiles gone": "DELETE FROM ledger_tiles",
    "a tile with another hash": "UPDATE ledger_tiles SET hashes = set_byte(hashes, 1, get_byte(hashes, 1) # 1)",
    "a tile cut short": "UPDATE ledger_tiles SET hashes = substr(hashes, 1, 32)",
    "a tile beyond the end": "INSERT INTO ledger_tiles SELECT DISTINCT org_id, 0, 9, hashes FROM ledger_tiles",
    "a level too many": "INSERT INTO ledger_tiles SELECT DISTINCT org_id, 30000, 0, hashes FROM ledger_tiles",
    "a level below": "INSERT INTO ledger_tiles SELECT DISTINCT org_id, -1, 0, hashes FROM ledger_tiles",
}


@pytest.fixture
async def everyone(own_services: Services, world: World) -> list[Tenant]:
    """The organisations of the installation: the world's and `default`, whose events are sealed too."""
    async with own_services.database.transaction() as tx:
        rows = await tx.rows("SELECT id, slug FROM organisations ORDER BY slug")
        for row in rows:
            await seal_waiting(own_services, tx, row["id"])
    return [Tenant(row["id"], row["slug"]) for row in rows]


async def test_whatever_was_done_to_derived_rows_a_rebuild_makes_them_as_they_were(
    own_services: Services, everyone: list[Tenant]
) -> None:
    before = await content(own_services)
    for name, statement in CORRUPTIONS.items():
        async with own_services.database.transaction() as tx:
            await fold(tx, 3)  # so that there are totals and deltas to spoil
        assert await sql(own_services, statement) > 0, f"{name}: there was nothing to spoil"
        assert await content(own_services) != before, name
        mended = [progress.mended for tenant in everyone for progress in (await run(own_services, tenant)).values()]
        assert sum(mended) > 0, name
        assert await content(own_services) == before, name


async def test_another_organisation_is_left_alone(own_services: Services, world: World) -> None:
    other = await World.founded(own_services)
    await sql(own_services, "DELETE FROM latest_results")
    await sql(own_services, "DELETE FROM edges")
    await sql(own_services, "UPDATE counters SET n = n + 5")
    before = await content(own_services)
    await run(own_services, other.tenant)
    changed = {row for name, rows in (await content(own_services)).items() for row in rows ^ before[name]}
    assert not [row for row in changed if row[0] == world.tenant.org_id]


async def test_totals_are_exact_while_others_write_and_fold(own_services: Services) -> None:
    """Every writer adds a fact with its delta; the recount must neither lose one nor count one twice."""
    world = await World.founded(own_services)
    trail = await world.trail(await world.flow())
    writing = True

    async def write() -> int:
        written = 0
        while writing:
            await world.attest(world.attestation(trail.id, "BUILD"))
            written += 1
        return written

    async def fold_on() -> None:
        while writing:
            async with own_services.database.transaction() as tx:
                await fold(tx, 3)
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(write()), asyncio.create_task(write())]
    folding = asyncio.create_task(fold_on())
    for _ in range(25):
        async for _ in rebuild_counters(own_services.database, world.tenant, (*CORE_COUNTS, *COUNTS)):
            pass
    writing = False
    written = sum(await asyncio.gather(*tasks))
    await folding
    assert written > 10
    async with own_services.database.read() as reader:
        assert await total(reader, world.tenant, "attestations", trail.id) == written
        events = await reader.value("SELECT count(*) FROM audit_events WHERE org_id = $1", world.tenant.org_id)
        assert await total(reader, world.tenant, "audit", NOBODY) == events


async def test_a_recount_waits_for_nobody_and_nobody_waits_for_it(own_services: Services) -> None:
    world = await World.founded(own_services)
    trail = await world.trail(await world.flow())
    async with own_services.database.transaction() as tx:
        await tx.execute(
            "INSERT INTO counter_deltas VALUES (gen_random_uuid(), $1, 'trails', $2, 1)", trail.org_id, trail.id
        )
        async with asyncio.timeout(5):
            async for _ in rebuild_counters(own_services.database, world.tenant, COUNTS):
                pass
    async with own_services.database.read() as reader:
        assert await total(reader, world.tenant, "trails", trail.id) == 1, "what was not committed kept its delta"
        assert await total(reader, world.tenant, "trails", trail.flow_id) == 1


async def test_a_total_larger_than_one_delta_is_written_in_slices(
    own_services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await World.founded(own_services)
    flow = await world.flow()
    for _ in range(5):
        await world.trail(flow)
    monkeypatch.setattr("storage.rebuild._LARGEST_DELTA", 2)
    async for _ in rebuild_counters(own_services.database, world.tenant, COUNTS):
        pass
    async with own_services.database.read() as reader:
        slices = await reader.rows("SELECT d FROM counter_deltas WHERE parent_id = $1 ORDER BY d", flow.id)
        assert [row["d"] for row in slices] == [1, 2, 2]
        assert await total(reader, world.tenant, "trails", flow.id) == 5


async def test_reports_during_a_rebuild_are_not_lost(own_services: Services) -> None:
    world = await World.founded(own_services)
    trail = await world.trail(await world.flow())

    async def report() -> None:
        for n in range(30):
            await world.attest(world.attestation(trail.id, "BUILD", name=f"n{n}"))

    async def rebuild() -> None:
        while not reporting.done():
            async for _ in rebuild_latest_results(own_services.database, world.tenant):
                pass

    reporting = asyncio.create_task(report())
    await asyncio.gather(reporting, rebuild())
    after = await content(own_services)
    assert len(after["latest results"]) == 30
    found = await run(own_services, world.tenant)
    assert found["latest"].mended == 0, "the rebuild left nothing that the commands would have written otherwise"


async def test_tiles_across_their_width_verify_and_sealing_goes_on(own_services: Services) -> None:
    """More entries than a tile is wide: full tiles, a second level, and a sealer that builds on what was mended."""
    world = await World.founded(own_services)
    trail = await world.trail(await world.flow())
    await world.attest(*[world.attestation(trail.id, "BUILD") for _ in range(600)])
    org_id = world.tenant.org_id
    async with own_services.database.transaction() as tx:
        await seal_waiting(own_services, tx, org_id)
    before = await content(own_services)
    await sql(own_services, "UPDATE ledger_tiles SET hashes = substr(hashes, 1, 64)")
    await run(own_services, world.tenant)
    assert {row for row in (await content(own_services))["tiles"] if row[0] == org_id} == {
        row for row in before["tiles"] if row[0] == org_id
    }
    await world.attest(world.attestation(trail.id, "BUILD"))
    async with own_services.database.transaction() as tx:
        assert await seal_waiting(own_services, tx, org_id) == 1
        await sign(own_services, tx, org_id)
    async with own_services.database.snapshot() as reader:
        assert (await inspected(own_services, reader, org_id)).findings == []


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM ledger_entries WHERE seq = 2 AND org_id = $1",
        "UPDATE ledger_entries SET leaf = '\\x00' WHERE seq = 2 AND org_id = $1",
    ],
    ids=["an entry gone", "a leaf cut short"],
)
async def test_tiles_of_a_damaged_ledger_are_not_rebuilt(own_services: Services, world: World, damage: str) -> None:
    async with own_services.database.transaction() as tx:
        await tx.execute("SET LOCAL trailgate.retention = 'on'")
        assert await tx.execute(damage, world.tenant.org_id) == 1
    before = await content(own_services)
    with pytest.raises(Conflict, match=r"Ledger entry 2 .*`trailgate verify`"):
        await anext(rebuild_tiles(own_services.database, world.tenant))
    assert await content(own_services) == before


async def test_an_empty_organisation_rebuilds_to_nothing(own_services: Services) -> None:
    nobody = Tenant(uuid4(), "nobody")
    assert await run(own_services, nobody) == dict.fromkeys(("latest", "edges", "tiles", "counters"), Progress(0, 0))


async def test_a_fold_that_is_always_first_ends_in_an_error_not_in_a_wrong_total(
    own_services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Conflicts are retried a few times; what remains is told."""
    world = await World.founded(own_services)
    await world.flow()
    async with own_services.database.transaction() as tx:
        await fold(tx, 100)
    looking = "SELECT count(*), pg_sleep(0.2) FROM counters WHERE org_id = $1 AND kind = $2"
    monkeypatch.setattr("storage.rebuild._HOLD", (looking,))

    async def disturb() -> None:
        while True:
            await sql(own_services, "UPDATE counters SET n = n + 1 WHERE kind = 'flows'")

    disturbing = asyncio.create_task(disturb())
    try:
        with pytest.raises(asyncpg.SerializationError):
            async for _ in rebuild_counters(own_services.database, world.tenant, COUNTS[:1]):
                pass
    finally:
        disturbing.cancel()
        await asyncio.gather(disturbing, return_exceptions=True)


def test_every_derived_table_can_be_rebuilt_or_is_known_not_to_be() -> None:
    rebuilt = {"latest_results", "judgements", "edges", "counters", "ledger_tiles", "running", "deployments"}
    rebuilt |= {"security_scan_days"}
    uses = {"api_key_uses", "session_uses", "workload_identity_uses"}
    not_from_facts = {*uses, "search_documents"}  # a use is no fact; nothing is searched yet
    assert {table.name for table in tables_of(DERIVED)} == rebuilt | not_from_facts
