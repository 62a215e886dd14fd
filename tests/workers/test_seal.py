"""Sealing, signing and publishing, in process."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from domain.audit.ledger import GENESIS, Checkpoint, SignedCheckpoint, entry_hash
from storage.keys import signature_holds
from storage.ledger.chain import verify_chain
from storage.ledger.published import END, checkpoint_file, last_published, publish, read_published
from storage.ledger.queries import ledger_size, list_entries, newest_checkpoint, unsigned_ledgers, waiting
from storage.services import Services
from tests.storage.shifted import later
from tests.storage.world import World
from workers.seal import Sealer, publish_missing
from workers.sweeps import sweep


@pytest.fixture
async def world(own_services: Services) -> World:
    return await World.founded(own_services)


async def test_entries_chain_from_sixty_four_zeros_on(world: World) -> None:
    await world.trail(await world.flow())
    await Sealer()(world.services)
    async with world.services.database.read() as reader:
        entries = await list_entries(reader, world.tenant, after=0, size=100)
        assert await waiting(reader, world.tenant) == 0
        assert await ledger_size(reader, world.tenant) == len(entries)
    previous = GENESIS
    for number, entry in enumerate(entries, start=1):
        assert entry.seq == number
        assert entry.previous_hash == previous
        previous = entry_hash(previous, entry.seq, entry.event_id, entry.leaf, entry.sealed_at)
        assert entry.entry_hash == previous


async def test_ten_at_once_make_one_chain_without_a_gap(world: World) -> None:
    flow = await world.flow()

    async def report() -> None:
        await world.trail(flow)
        await Sealer().seal_round(world.services)

    await asyncio.gather(*(report() for _ in range(10)))
    await Sealer()(world.services)
    async with world.services.database.read() as reader:
        verdict = await verify_chain(reader, world.tenant, None, None)
        size = await ledger_size(reader, world.tenant)
    assert (verdict.broken_at, verdict.checked) == (None, size)


async def test_a_checkpoint_covers_all_and_stands_outside(world: World) -> None:
    await world.flow()
    await Sealer()(world.services)
    await world.flow()
    await Sealer()(world.services)
    async with world.services.database.read() as reader:
        stored = await newest_checkpoint(reader, world.tenant.org_id)
        size = await ledger_size(reader, world.tenant)
        assert await unsigned_ledgers(reader) == []
    assert stored is not None
    assert stored.signed.checkpoint.size == size
    path = checkpoint_file(world.services.settings.checkpoints, world.tenant.org_id)
    published = read_published(path.read_text())
    assert [signed.checkpoint.size for signed in published][-1] == size
    assert len(published) == 2
    for signed in published:
        assert signature_holds(world.services.signer.public_key, signed.signature, signed.checkpoint.body())


async def test_a_note_that_was_cut_short_is_replaced(world: World) -> None:
    await world.flow()
    await Sealer()(world.services)
    path = checkpoint_file(world.services.settings.checkpoints, world.tenant.org_id)
    whole = path.read_text()
    path.write_text(whole + "trailgate/half a no")
    assert last_published(path) == read_published(whole)[-1]
    await world.flow()
    await Sealer()(world.services)
    assert path.read_text().startswith(whole)
    assert "half" not in path.read_text()
    assert path.read_text().endswith(END)


async def test_a_clock_that_was_ahead_stops_no_checkpoint(world: World) -> None:
    await world.flow()
    await Sealer()(later(world.services, timedelta(days=1)))
    await world.flow()
    await asyncio.wait_for(Sealer()(world.services), 20)
    async with world.services.database.read() as reader:
        size = await ledger_size(reader, world.tenant)
        stored = await newest_checkpoint(reader, world.tenant.org_id)
        assert await unsigned_ledgers(reader) == []
    assert stored is not None
    assert stored.signed.checkpoint.size == size
    assert stored.created_at <= world.services.clock.now()


def test_publishing_again_adds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    assert publish(path, []) == 0
    assert last_published(path) is None
    assert last_published(tmp_path / "none") is None


async def test_an_unwritable_place_is_no_reason_to_stop_sealing(own_services: Services, tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file where a directory should be")
    settings = own_services.settings.model_copy(update={"checkpoint_dir": tmp_path / "occupied"})
    services = replace(own_services, settings=settings)
    world = await World.founded(services)
    await asyncio.wait_for(Sealer()(services), 20)
    async with services.database.read() as reader:
        assert await waiting(reader, world.tenant) == 0
        assert await newest_checkpoint(reader, world.tenant.org_id) is not None


async def test_what_could_not_be_published_is_published_by_a_sweep(own_services: Services, tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file where a directory should be")
    settings = own_services.settings.model_copy(update={"checkpoint_dir": tmp_path / "occupied"})
    services = replace(own_services, settings=settings)
    world = await World.founded(services)
    await asyncio.wait_for(Sealer()(services), 20)
    await publish_missing(services)
    (tmp_path / "occupied").unlink()
    await publish_missing(services)
    async with services.database.read() as reader:
        size = await ledger_size(reader, world.tenant)
    last = last_published(checkpoint_file(settings.checkpoints, world.tenant.org_id))
    assert last is not None
    assert last.checkpoint.size == size > 0


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "GARBAGE\n" + END,
        lambda text: text.replace("\n", "\r\n") * 3,
        lambda text: text + "\ufffe" * 600,
        lambda text: re.sub(r"\n[0-9]+\n", "\n5000\n", text),
    ],
    ids=["a foreign note", "other line ends", "a long tail", "a larger tree"],
)
async def test_a_file_that_somebody_changed_is_left_alone_and_stops_nothing(
    world: World, change: Callable[[str], str]
) -> None:
    other = await World.founded(world.services)
    await Sealer()(world.services)
    changed, missing = (
        checkpoint_file(world.services.settings.checkpoints, one.tenant.org_id) for one in (world, other)
    )
    content = change(changed.read_text())
    changed.write_bytes(content.encode())
    missing.unlink()
    await world.flow()
    await Sealer()(world.services)
    await publish_missing(world.services)
    assert changed.read_bytes() == content.encode()
    assert last_published(missing) is not None


async def test_a_file_that_was_moved_away_is_written_again(world: World) -> None:
    await world.flow()
    await Sealer()(world.services)
    path = checkpoint_file(world.services.settings.checkpoints, world.tenant.org_id)
    whole = path.read_bytes()
    path.unlink()
    await publish_missing(world.services)
    assert path.read_bytes() == whole


def test_only_the_end_of_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    notes = [
        SignedCheckpoint(Checkpoint(UUID(int=1), size, bytes(32), bytes(32)), "01020304", bytes(64))
        for size in range(1, 2001)
    ]
    assert publish(path, notes) == 2000
    path.write_bytes(b"\xff" * 100_000 + path.read_bytes()[100_000:])  # not even text, and nobody sees it
    assert last_published(path) == notes[-1]
    assert publish(path, notes) == 0


async def test_sweeps_are_harmless_however_often(world: World) -> None:
    await world.trail(await world.flow())
    for _ in range(3):
        await sweep(world.services)
    async with world.services.database.read() as reader:
        assert await reader.value("SELECT count(*) FROM counter_deltas") == 0
        assert await reader.value("SELECT next_run_at > now() FROM schedule WHERE name = 'partitions'")
