"""The sweep: what nobody keeps goes, whatever is being kept meanwhile stays, and a second round finds nothing."""

import asyncio
import hashlib
import os
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from domain.facts.evidence import NewEvidence
from storage.blobs import sweep as sweeping
from storage.blobs.commands import claim, keep
from storage.blobs.queries import unknown
from storage.blobs.store import BlobStore
from storage.blobs.sweep import Swept, shard_of, sweep_blobs
from storage.facts.commands.evidence import attach_file
from storage.schedule.sweeps import Sweep
from storage.services import Services
from tests.storage.world import World
from workers.sweeps import run_sweep


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def stage(store: BlobStore, content: bytes) -> Path:
    path = store.staging / f"upload-{uuid4().hex}"
    path.write_bytes(content)
    return path


async def orphan(services: Services, content: bytes, hours: float = 2) -> str:
    """An object whose process died before the row."""
    digest = digest_of(content)
    await services.blobs.promote(stage(services.blobs, content), digest)
    age(services, services.blobs.path(digest), hours)
    return digest


def age(services: Services, path: Path, hours: float) -> None:
    past = (services.clock.now() - timedelta(hours=hours)).timestamp()
    os.utime(path, (past, past))


async def kept(services: Services, content: bytes) -> str:
    digest = digest_of(content)
    async with services.database.transaction() as tx:
        await keep(tx, services.blobs, stage(services.blobs, content), digest, len(content))
    age(services, services.blobs.path(digest), 2)
    return digest


async def swept(services: Services) -> Swept:
    seen = [one async for one in sweep_blobs(services.database, services.blobs)]
    assert [one.objects for one in seen] == sorted(one.objects for one in seen), "progress only grows"
    return seen[-1]


@pytest.fixture
async def anchored(own_services: Services) -> Services:
    """With one content that is kept, so that the store and the database are seen to belong together."""
    await kept(own_services, b"anchor")
    return own_services


async def test_orphans_go_and_what_is_kept_stays(anchored: Services) -> None:
    lost = [await orphan(anchored, b"%d" % n) for n in range(5)]
    young = await orphan(anchored, b"young", hours=0.5)
    broken = stage(anchored.blobs, b"half")
    age(anchored, broken, 2)
    streaming = stage(anchored.blobs, b"on its way")
    assert await swept(anchored) == Swept(objects=7, removed=5, staged=1)
    assert not any(anchored.blobs.path(digest).exists() for digest in lost)
    assert anchored.blobs.path(young).exists()
    assert anchored.blobs.path(digest_of(b"anchor")).exists()
    assert (broken.exists(), streaming.exists()) == (False, True)
    assert await swept(anchored) == Swept(objects=2, removed=0, staged=0)


async def test_a_row_that_no_evidence_refers_to_keeps_its_content(anchored: Services) -> None:
    async with anchored.database.read() as reader:
        assert await reader.value("SELECT count(*) FROM evidence") == 0
    await swept(anchored)
    assert anchored.blobs.path(digest_of(b"anchor")).exists()


async def test_a_store_whose_database_is_empty_is_left_alone(own_services: Services) -> None:
    """As when a worker runs before the backup is restored."""
    digest = await orphan(own_services, b"x", hours=1000)
    broken = stage(own_services.blobs, b"half")
    age(own_services, broken, 2)
    assert await swept(own_services) == Swept(staged=1)
    assert own_services.blobs.path(digest).exists()


async def test_batches_do_not_show(anchored: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "BATCH", 1)
    shard = [content for content in (b"%d" % n for n in range(2000)) if digest_of(content)[7:9] == "00"]
    for content in shard:
        await orphan(anchored, content)
    assert len(shard) > 3
    assert (await swept(anchored)).removed == len(shard)


async def test_content_that_is_being_kept_is_not_removed(anchored: Services) -> None:
    """Every order of the two: the object is in its place, old, and its row is written but not committed."""
    content = b"contested"
    digest = await orphan(anchored, content)
    async with anchored.database.transaction() as tx:
        await keep(tx, anchored.blobs, stage(anchored.blobs, content), digest, len(content))
        age(anchored, anchored.blobs.path(digest), 2)  # as if the process had been stopped for hours
        async with anchored.database.read() as reader:
            assert await unknown(reader, [digest]) == [digest]
        assert (await swept(anchored)).removed == 0
    assert anchored.blobs.path(digest).read_bytes() == content
    assert (await swept(anchored)).removed == 0


async def test_whoever_keeps_waits_for_the_sweep_and_then_puts_a_new_object_there(anchored: Services) -> None:
    content = b"contested"
    digest = await orphan(anchored, content)
    async with anchored.database.transaction() as tx:
        assert await claim(tx, digest)
        keeping = asyncio.create_task(kept(anchored, content))
        await asyncio.sleep(0.1)
        assert not keeping.done()
        anchored.blobs.path(digest).unlink()
    assert await keeping == digest
    assert anchored.blobs.path(digest).read_bytes() == content


async def test_a_claim_sees_what_was_committed_before_it(anchored: Services) -> None:
    digest = await kept(anchored, b"x")
    async with anchored.database.transaction() as tx:
        assert not await claim(tx, digest)
        assert await claim(tx, digest_of(b"nobody's"))


async def test_a_rolled_back_upload_is_an_orphan(anchored: Services) -> None:
    digest = digest_of(b"x")

    class Broken(Exception):
        pass

    async def upload() -> None:
        async with anchored.database.transaction() as tx:
            await keep(tx, anchored.blobs, stage(anchored.blobs, b"x"), digest, 1)
            raise Broken

    with pytest.raises(Broken):
        await upload()
    assert (await swept(anchored)).removed == 0, "it is young"
    age(anchored, anchored.blobs.path(digest), 2)
    assert (await swept(anchored)).removed == 1


async def test_uploads_and_sweeps_at_the_same_time_lose_nothing(
    anchored: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any grace, so that only the lock stands between them."""
    monkeypatch.setattr(sweeping, "GRACE", timedelta(hours=-1))
    world = await World.founded(anchored)
    trail = await world.trail(await world.flow())
    [attestation] = await world.attest(world.attestation(trail.id, "archive"))
    contents = [b"%d" % n for n in range(60)]
    elsewhere = anchored.blobs.staging.parent / "elsewhere"  # a sweep without grace empties staging
    elsewhere.mkdir()
    busy = True

    async def sweep_on() -> int:
        removed = 0
        while busy:
            removed += (await swept(anchored)).removed
        return removed

    async def upload(n: int) -> None:
        """Three for each content, of which the first one breaks off between the object and its row."""
        content = contents[n // 3]
        new = NewEvidence(trail.id, attestation.id, digest_of(content), "x", len(content), "text/plain", world.actor)
        staged = elsewhere / f"{n}"
        staged.write_bytes(content)
        if n % 3 == 0:
            await anchored.blobs.promote(staged, new.digest)
            return
        async with anchored.database.transaction() as tx:
            await attach_file(tx, world.tenant, new, staged, anchored.blobs, most=1000)

    tasks = [asyncio.create_task(sweep_on()) for _ in range(2)]
    for start in range(0, 180, 6):
        await asyncio.gather(*(upload(n) for n in range(start, start + 6)))
    busy = False
    assert sum(await asyncio.gather(*tasks)) > 0, "there was something to contend for"
    async with anchored.database.read() as reader:
        rows = await reader.rows("SELECT digest FROM blobs")
    assert {row["digest"] for row in rows} >= {digest_of(content) for content in contents}
    for row in rows:
        found = await anchored.blobs.measure(row["digest"])
        assert found is not None
        assert found.digest == row["digest"]


async def test_the_worker_sweeps_one_shard_in_its_minute_and_not_in_every_round(
    anchored: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = shard_of(anchored.clock.now())
    monkeypatch.setattr("workers.sweeps.shard_of", lambda _: shard)
    mine = next(content for content in (b"%d" % n for n in range(10_000)) if digest_of(content)[7:9] == shard)
    other = next(content for content in (b"%d" % n for n in range(10_000)) if digest_of(content)[7:9] != shard)
    digests = [await orphan(anchored, mine), await orphan(anchored, other)]
    await run_sweep(anchored, Sweep.BLOBS)
    assert [anchored.blobs.path(digest).exists() for digest in digests] == [False, True]
    await orphan(anchored, mine)
    await run_sweep(anchored, Sweep.BLOBS)
    assert anchored.blobs.path(digests[0]).exists(), "its turn comes again in half a minute"


def test_every_shard_has_its_minute(services: Services) -> None:
    now = services.clock.now()
    assert len({shard_of(now + timedelta(minutes=n)) for n in range(256)}) == 256
