"""`trailgate rebuild`: every organisation, and a number that tells whether anything was wrong."""

import pytest

from storage.services import Services
from tests.storage.world import World
from workers.seal import Sealer


@pytest.fixture
def slug(started: None, arrange) -> str:
    async def fill(services: Services) -> str:
        world = await World.founded(services)
        trail = await world.trail(await world.flow())
        await world.attest(world.attestation(trail.id, "BUILD"), world.attestation(trail.id, "TEST"))
        return world.tenant.org_slug

    return arrange(fill)


def test_all_tells_of_every_organisation_and_mends_once(slug: str, trailgate, arrange) -> None:
    async def spoil(services: Services) -> None:
        async with services.database.transaction() as tx:
            await tx.execute("DELETE FROM latest_results")
            await tx.execute("UPDATE trails SET status = 'NON_COMPLIANT'")

    sound = trailgate("rebuild", "all")
    assert sound.status == 0
    lines = sound.out.splitlines()
    assert {line.partition(":")[0] for line in lines} == {"default", slug}
    assert len(lines) == 14
    assert all(line.endswith(", 0 repaired") for line in lines)

    arrange(spoil)
    assert f"{slug}: latest-results: 1 checked, 3 repaired" in trailgate("rebuild", "latest-results").out
    assert f"{slug}: latest-results: 1 checked, 0 repaired" in trailgate("rebuild", "latest-results").out


def test_recounted_totals_are_folded_already(slug: str, trailgate, arrange) -> None:
    async def deltas(services: Services) -> int:
        async with services.database.read() as reader:
            return int(await reader.value("SELECT count(*) FROM counter_deltas"))

    assert arrange(deltas) > 0
    assert trailgate("rebuild", "counters").status == 0
    assert arrange(deltas) == 0


def test_what_cannot_be_rebuilt(started: None, trailgate) -> None:
    refused = trailgate("rebuild", "facts")
    assert refused.status == 2
    assert "latest-results" in refused.err
    assert trailgate("rebuild").status == 2


def test_a_damaged_ledger_is_told_in_one_line(slug: str, trailgate, arrange) -> None:
    async def damage(services: Services) -> None:
        await Sealer().seal_round(services)
        async with services.database.transaction() as tx:
            await tx.execute("SET LOCAL trailgate.retention = 'on'")
            await tx.execute("DELETE FROM ledger_entries WHERE seq = 1")

    arrange(damage)
    refused = trailgate("rebuild", "tiles")
    assert refused.status == 2
    assert refused.err == (
        "trailgate: Ledger entry 1 is missing or damaged, so tiles cannot be rebuilt: run `trailgate verify`.\n"
    )
