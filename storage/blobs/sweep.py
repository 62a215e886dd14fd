"""Removing content that nobody keeps: what a process left behind that died between an object and its row.

Rows without evidence stay: they are facts. A round repeated changes nothing. Where no content has a row nothing is
removed: a worker that was started on an empty database, to restore a backup say, must not empty the store as well.

Why nothing that is needed can go: whoever keeps content holds a shared lock on its digest from before the rename until
the commit (`commands.keep`), and an object is removed only by who holds that lock alone. Gained before the rename, the
sweep removes an older object, and the rename puts a new one there; gained after the commit, the sweep sees the row;
after a rollback nobody refers to the object. None of this depends on clocks. The grace on top is for people: what a
crash left behind, or a restore of the database forgot, can be looked at for an hour.
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
"""How old what is removed must be: since its promotion, or since the last byte of a staging file."""
BATCH = 1000


@dataclass(frozen=True, slots=True)
class Swept:
    """How much was looked at and removed so far."""

    objects: int = 0
    removed: int = 0
    staged: int = 0


def shard_of(moment: datetime) -> str:
    """The shard whose turn it is in this minute: all have been swept after four and a quarter hours."""
    return SHARDS[int(moment.timestamp()) // 60 % len(SHARDS)]


async def sweep_blobs(database: Database, store: BlobStore, shards: Iterable[str] = SHARDS) -> AsyncIterator[Swept]:
    """Remove stale staging files, and objects without a row in those shards; yields how far it has come."""
    before = database.clock.now() - GRACE
    done = Swept(staged=await asyncio.to_thread(store.remove_stale, before))
    yield done
    async with database.read() as reader:
        if not await knows_any(reader):
            return  # rather a database that is not the store's, or not restored yet, than a store full of waste
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
