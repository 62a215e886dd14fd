"""Removing objects without a row, left behind by a process that died between writing an object and its row.

Rows without an object stay: they are facts. Repeating a sweep is harmless. If no content at all has a row, nothing is
removed: a worker started on an empty database, for example before a restore, must not empty the store.

Why no object in use can be removed: storing content holds a shared lock on the digest from before the rename until the
commit (`commands.keep`), and the sweep removes an object only while it holds that lock exclusively. If the sweep gets
the lock before the rename, it removes an older object and the rename puts a new one there; if it gets the lock after
the commit, it sees the row; after a rollback nothing refers to the object. None of this depends on clocks. The grace
period is for people: for an hour they can examine what a crash left behind or a restored database does not know.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from storage.blobs.commands import claim
from storage.blobs.queries import knows_any, unknown
from storage.blobs.store import SHARDS, BlobStore
from storage.database import Database

GRACE = timedelta(hours=1)
"""Minimum age for removal: since an object was put in place, or since the last write to a staging file."""
BATCH = 1000


@dataclass(frozen=True, slots=True)
class Swept:
    """Objects examined, objects removed and staging files removed so far."""

    objects: int = 0
    removed: int = 0
    staged: int = 0


def shard_of(moment: datetime) -> str:
    """Return the shard to sweep in this minute; sweeping all shards takes four and a quarter hours."""
    return SHARDS[int(moment.timestamp()) // 60 % len(SHARDS)]


async def sweep_blobs(database: Database, store: BlobStore, shards: Iterable[str] = SHARDS) -> AsyncIterator[Swept]:
    """Remove stale staging files, and the objects without a row in those shards; yield the progress."""
    before = database.clock.now() - GRACE
    done = Swept(staged=await asyncio.to_thread(store.remove_stale, before))
    yield done
    async with database.read() as reader:
        if not await knows_any(reader):
            return  # probably the wrong database, or one not restored yet: nothing may be removed
    for shard in shards:
        digests = store.objects(shard)
        while batch := await asyncio.to_thread(_next, digests):
            removed = await _sweep_batch(database, store, batch, before)
            done = Swept(done.objects + len(batch), done.removed + removed, done.staged)
            yield done


def _next(digests: Iterator[str]) -> list[str]:
    return list(islice(digests, BATCH))


async def _sweep_batch(database: Database, store: BlobStore, digests: list[str], before: datetime) -> int:
    async with database.read() as reader:
        suspects = await unknown(reader, digests)
    removed = 0
    for digest in suspects:
        async with database.transaction() as tx:
            removed += await claim(tx, digest) and await asyncio.to_thread(store.remove_older, digest, before)
    return removed
