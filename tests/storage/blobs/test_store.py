"""The store alone: content under its digest, durable, once, and only where nobody else wrote the path."""

import asyncio
import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from domain.errors import Conflict
from storage.blobs.store import CHUNK, SHARDS, BlobStore, Rehearsal


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    made = BlobStore(tmp_path / "blobs")
    made.prepare()
    return made


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def stage(store: BlobStore, content: bytes, name: str = "upload-1") -> Path:
    path = store.staging / name
    path.write_bytes(content)
    return path


async def keep(store: BlobStore, content: bytes) -> str:
    digest = digest_of(content)
    await store.promote(stage(store, content), digest)
    return digest


async def test_an_object_stands_under_its_digest(store: BlobStore, tmp_path: Path) -> None:
    digest = await keep(store, b"a")
    path = tmp_path / "blobs" / "sha256" / "ca" / "978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    assert (store.path(digest), path.read_bytes()) == (path, b"a")
    assert list(store.staging.iterdir()) == []
    for folder in (path.parent, path.parent.parent, store.staging, tmp_path / "blobs" / "sha256"):
        assert folder.stat().st_mode & 0o077 == 0, "nobody else may look"


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "a" * 64,
        "sha256:" + "A" * 64,
        "sha256:../../x",
        "sha256:" + "a" * 65,
        "sha512:" + "a" * 64,
        "sha256:" + "a" * 64 + "\n",
    ],
)
async def test_what_is_no_digest_becomes_no_path(store: BlobStore, tmp_path: Path, digest: str) -> None:
    staged = stage(store, b"x")
    with pytest.raises(ValueError, match="not a digest"):
        await store.promote(staged, digest)
    with pytest.raises(ValueError, match="not a digest"):
        store.path(digest)
    assert staged.exists()


async def test_the_same_content_is_there_once_and_its_age_begins_anew(store: BlobStore) -> None:
    digest = await keep(store, b"a")
    os.utime(store.path(digest), (0, 0))
    await keep(store, b"a")
    assert list(store.objects("ca")) == [digest]
    assert store.path(digest).stat().st_mtime > 1_000_000


async def test_the_age_counts_from_the_promotion_not_from_the_last_byte(store: BlobStore) -> None:
    staged = stage(store, b"a")
    os.utime(staged, (0, 0))
    await store.promote(staged, digest_of(b"a"))
    assert not store.remove_older(digest_of(b"a"), datetime.now(UTC) - timedelta(minutes=1))


async def test_parallel_promotions_of_one_content_leave_one_object(store: BlobStore) -> None:
    content = b"x" * 100_000
    staged = [stage(store, content, f"upload-{n}") for n in range(16)]
    await asyncio.gather(*(store.promote(one, digest_of(content)) for one in staged))
    assert (await store.measure(digest_of(content))) is not None
    assert list(store.staging.iterdir()) == []


async def test_a_reader_keeps_what_it_opened_while_it_is_replaced(store: BlobStore) -> None:
    digest = await keep(store, b"0123456789")
    async with store.opened(digest) as blob:
        await keep(store, b"0123456789")
        store.path(digest).unlink()
        assert [chunk async for chunk in blob.checked_chunks(digest)] == [b"0123456789"]


async def test_a_rehearsal_keeps_nothing(store: BlobStore) -> None:
    staged = stage(store, b"a")
    await Rehearsal().promote(staged, digest_of(b"a"))
    assert staged.exists()
    assert list(store.objects("ca")) == []


@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 7])
async def test_checked_chunks_are_the_content(store: BlobStore, size: int) -> None:
    content = os.urandom(size)
    digest = await keep(store, content)
    async with store.opened(digest) as blob:
        assert blob.size == size
        chunks = [chunk async for chunk in blob.checked_chunks(digest)]
    assert b"".join(chunks) == content
    assert max(map(len, chunks)) <= CHUNK


@pytest.mark.parametrize("at", [0, CHUNK, 2 * CHUNK])
async def test_the_last_chunk_of_altered_content_is_never_given(store: BlobStore, at: int) -> None:
    content = bytearray(os.urandom(2 * CHUNK + 1))
    digest = await keep(store, bytes(content))
    content[at] ^= 1
    store.path(digest).write_bytes(content)
    async with store.opened(digest) as blob:
        chunks = blob.checked_chunks(digest)
        assert [len(await anext(chunks)) for _ in range(2)] == [CHUNK, CHUNK]
        with pytest.raises(Conflict, match="Integrity error"):
            await anext(chunks)


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, 10), (9, 10), (3, 7), (5, 5)])
async def test_parts(store: BlobStore, start: int, stop: int) -> None:
    digest = await keep(store, b"0123456789")
    async with store.opened(digest) as blob:
        assert b"".join([chunk async for chunk in blob.chunks(start, stop)]) == b"0123456789"[start:stop]


async def test_content_that_is_missing_is_a_breach_of_promise(store: BlobStore) -> None:
    with pytest.raises(Conflict, match="missing"):
        async with store.opened(digest_of(b"a")):
            pass
    assert await store.measure(digest_of(b"a")) is None


async def test_measuring_reads_what_is_there(store: BlobStore) -> None:
    digest = await keep(store, b"a")
    found = await store.measure(digest)
    assert found is not None
    assert (found.digest, found.size) == (digest, 1)
    store.path(digest).write_bytes(b"bc")
    changed = await store.measure(digest)
    assert changed is not None
    assert (changed.digest, changed.size) == (digest_of(b"bc"), 2)


async def test_foreign_files_are_no_objects(store: BlobStore) -> None:
    digest = await keep(store, b"a")
    shard = store.path(digest).parent
    for name in ("README", ".x", "f" * 61, "F" * 62):
        (shard / name).touch()
    assert list(store.objects("ca")) == [digest]
    assert [one for shard in SHARDS if shard != "ca" for one in store.objects(shard)] == []


async def test_only_what_is_older_is_removed(store: BlobStore) -> None:
    digest, now = await keep(store, b"a"), datetime.now(UTC)
    stale, fresh = stage(store, b"x", "upload-stale"), stage(store, b"y", "upload-fresh")
    os.utime(stale, (0, 0))
    before = now - timedelta(hours=1)
    assert store.remove_stale(before) == 1
    assert (stale.exists(), fresh.exists()) == (False, True)
    assert not store.remove_older(digest, before)
    assert store.remove_older(digest, now + timedelta(hours=1))
    assert not store.remove_older(digest, now + timedelta(hours=1)), "it is gone already"
