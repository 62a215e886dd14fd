"""Rows that Trailgate cannot have written, and rows put back: they are named, and stop no other ledger."""

from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

import pytest

from storage.database import Row, Transaction
from storage.identity.commands.workload_identities import create_workload_identity
from storage.ledger.heads import MALFORMED
from storage.services import Services
from tests.storage.ledger.every_record import CI, JOBS
from tests.storage.ledger.test_forgery import problem, published_size, said, signed_size, tampered
from tests.storage.world import World
from workers.seal import Sealer


@pytest.fixture
async def world(own_services: Services) -> World:
    """An organisation with a flow, sealed and published."""
    world = await World.founded(own_services)
    await world.flow()
    await Sealer()(own_services)
    return world


async def others_go_on(world: World) -> bool:
    """Whether the worker seals and signs an organisation that was founded after the tampering."""
    other = await World.founded(world.services)
    await world.flow()
    sealer = Sealer()
    await sealer(world.services)
    await sealer(world.services)
    return await problem(other) is None and published_size(other) == await signed_size(other) > 0


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger_entries SET seq = 9223372036854775807 - seq WHERE org_id = $1",
        "UPDATE ledger_entries SET seq = -seq WHERE org_id = $1",
        "UPDATE ledger_entries SET sealed_at = 'infinity' WHERE org_id = $1",
        "UPDATE ledger_entries SET sealed_at = '4000-01-01 BC' WHERE org_id = $1",
        "UPDATE ledger_entries SET sealed_at = '9999-01-01' WHERE org_id = $1",
        "UPDATE ledger_entries SET leaf = 'x' WHERE org_id = $1",
        "UPDATE ledger_tiles SET hashes = hashes || hashes WHERE org_id = $1",
        "UPDATE ledger_tiles SET hashes = hashes || 'x' WHERE org_id = $1",
        "UPDATE ledger_heads SET size = -1 WHERE org_id = $1",
        "UPDATE checkpoints SET size = 9223372036854775807 WHERE org_id = $1",
        "INSERT INTO unsealed (org_id, event_id, leaf, mac) VALUES ($1, gen_random_uuid(), 'x', '')",
    ],
)
async def test_a_row_that_nobody_can_have_written_is_named_and_stops_no_other_ledger(world: World, change: str) -> None:
    before = published_size(world)
    await tampered(world, lambda tx, world: tx.execute(change, world.tenant.org_id))
    assert await problem(world)
    assert await others_go_on(world)
    assert published_size(world) == before
    with suppress(*MALFORMED):  # `trailgate verify` reports it as a finding
        assert await said(world)


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "4000-01-01 BC"])
async def test_the_time_of_a_checkpoint_is_not_signed_and_stops_nothing(world: World, moment: str) -> None:
    change = f"UPDATE checkpoints SET created_at = '{moment}' WHERE org_id = $1"
    await tampered(world, lambda tx, world: tx.execute(change, world.tenant.org_id))
    assert await others_go_on(world)


async def test_a_waiting_event_that_is_put_back_is_named_and_stops_no_other_ledger(world: World) -> None:
    """Its code is a good one, because Trailgate made it."""
    services, org_id = world.services, world.tenant.org_id
    await world.flow()
    async with services.database.read() as reader:
        [first, *_] = await reader.rows("SELECT * FROM unsealed WHERE org_id = $1", org_id)
    await Sealer()(services)

    async def put_back(tx: Transaction, _: World) -> None:
        insert = "INSERT INTO unsealed (org_id, event_id, leaf, mac) VALUES ($1, $2, $3, $4)"
        await tx.execute(insert, *(first[name] for name in ("org_id", "event_id", "leaf", "mac")))

    await tampered(world, put_back)
    assert "is in the ledger already" in str(await problem(world))
    assert any("which has it already" in line for line in await said(world))
    assert await others_go_on(world)


async def test_new_events_do_not_make_up_for_erased_entries(world: World) -> None:
    """Entries that no checkpoint covers yet are erased, and the head that was valid before them is put back."""
    services, org_id = world.services, world.tenant.org_id
    async with services.database.read() as reader:
        old = await reader.row("SELECT * FROM ledger_heads WHERE org_id = $1", org_id)
        tiles = await reader.rows("SELECT * FROM ledger_tiles WHERE org_id = $1", org_id)
    assert old is not None
    await world.flow()
    await Sealer().seal_round(services)
    await tampered(world, lambda tx, _: _set_back(tx, old, tiles))
    for _ in range(3):
        await world.flow()
        await Sealer()(services)
    assert "events that were committed are gone" in str(await problem(world))
    assert await signed_size(world) == old["size"]


async def test_what_a_key_did_that_was_slipped_in_and_removed_is_named(world: World) -> None:
    """While it is there, it is a stray; afterwards, only what it did tells of it."""
    trail = await world.trail(await world.flow())
    key_id = uuid4()
    await world.attest(replace(world.attestation(trail.id, "BUILD"), actor=replace(world.actor, credential_id=key_id)))
    await Sealer()(world.services)
    assert [line for line in await said(world) if str(key_id) in line]


async def test_what_a_ci_job_did_is_sound(world: World) -> None:
    trail = await world.trail(await world.flow())
    async with world.services.database.transaction() as tx:
        identity = await create_workload_identity(tx, world.tenant, CI, JOBS, world.actor)
    actor = replace(world.actor, principal_id=identity.principal_id, credential_id=identity.id)
    await world.attest(replace(world.attestation(trail.id, "BUILD"), actor=actor))
    await Sealer()(world.services)
    assert await said(world) == []


async def _set_back(tx: Transaction, old: Row, tiles: list[Row]) -> None:
    org_id = old["org_id"]
    erased = "DELETE FROM ledger_entries WHERE org_id = $1 AND seq > $2 RETURNING event_id"
    ids = [row["event_id"] for row in await tx.rows(erased, org_id, old["size"])]
    events = await tx.rows("DELETE FROM audit_events WHERE id = ANY($1::uuid[]) RETURNING record_id", ids)
    await tx.execute("DELETE FROM flows WHERE id = ANY($1::uuid[])", [row["record_id"] for row in events])
    await tx.execute(
        "UPDATE ledger_heads SET size = $2, chain_hash = $3, root = $4, mac = $5 WHERE org_id = $1",
        *(old[name] for name in ("org_id", "size", "chain_hash", "root", "mac")),
    )
    await tx.execute("DELETE FROM ledger_tiles WHERE org_id = $1", org_id)
    for tile in tiles:
        insert = "INSERT INTO ledger_tiles (org_id, level, n, hashes) VALUES ($1, $2, $3, $4)"
        await tx.execute(insert, *(tile[name] for name in ("org_id", "level", "n", "hashes")))
