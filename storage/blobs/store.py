"""Content-addressed objects on the local disk: `<root>/sha256/ab/cdef…` (ARCHITECTURE.md 4, blobs).

Content is streamed into `<root>/staging`, on the same file system, so that a rename promotes it. The object stands in
its place before any row speaks of it: an object without a row is harmless, and swept; a row without one would be a lie.
"""

import asyncio
import hashlib
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from domain.errors import Conflict

CHUNK = 1 << 20
"""Bytes read at once."""
SHARDS = tuple(f"{number:02x}" for number in range(256))
"""The folders among which objects are spread, named by the first two digits of their digest."""

_DIGEST = re.compile(r"sha256:([0-9a-f]{2})([0-9a-f]{62})")
_REST = re.compile(r"[0-9a-f]{62}")


class Keeper(Protocol):
    """What a command needs of a store. Digests are `sha256:` and 64 lower-case hexadecimal digits."""

    async def promote(self, staged: Path, digest: str) -> None:
        """Make a staged file, whose SHA-256 is `digest`, the object of that digest."""


class Rehearsal:
    """The store of dry runs: it keeps nothing."""

    async def promote(self, staged: Path, digest: str) -> None:
        """Leave the staged file where it is, for its owner to discard."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What an object really is: its digest and its size in bytes."""

    digest: str
    size: int


class BlobStore:
    """The objects below one folder. What may take long runs in a thread."""

    def __init__(self, root: Path) -> None:
        self._objects = root / "sha256"
        self.staging = root / "staging"

    def prepare(self) -> None:
        """Make the folders that are missing; only their owner may enter."""
        for folder in (self._objects, self.staging):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where the object of this digest stands. ValueError for what is no digest: nothing else becomes a path."""
        found = _DIGEST.fullmatch(digest)
        if found is None:
            raise ValueError(f"not a digest: {digest!r}")
        return self._objects / found[1] / found[2]

    async def promote(self, staged: Path, digest: str) -> None:
        """Make a staged file the object of its digest; it is durable when this returns.

        An object that is there already is replaced by what was hashed a moment ago, which mends one that was spoilt.
        Quick for a file that was synced to the disk before.
        """
        await asyncio.to_thread(self._promote, staged, self.path(digest))

    @asynccontextmanager
    async def opened(self, digest: str) -> "AsyncIterator[Blob]":
        """The object for reading. Raises Conflict when it is not there, although it was promised."""
        try:
            file = await asyncio.to_thread(self.path(digest).open, "rb", buffering=0)
        except FileNotFoundError as error:
            raise Conflict(f"Integrity error: the content of {digest} is missing from the store.", "state") from error
        try:
            yield Blob(file, os.fstat(file.fileno()).st_size)
        finally:
            file.close()

    async def measure(self, digest: str) -> Measured | None:
        """The digest and size of what stands in the object's place, read anew to its end; None when nothing does."""
        return await asyncio.to_thread(_measured, self.path(digest))

    def objects(self, shard: str) -> Iterator[str]:
        """The digests of one shard's objects, in no order."""
        yield from (f"sha256:{shard}{name}" for name in _names(self._objects / shard) if _REST.fullmatch(name))

    def remove_older(self, digest: str, before: datetime) -> bool:
        """Remove an object that was promoted before that time; whether it was there and is gone."""
        return _remove_older(self.path(digest), before)

    def remove_stale(self, before: datetime) -> int:
        """Remove the staging files nobody has written to since that time; the answer is how many."""
        return sum(_remove_older(self.staging / name, before) for name in list(_names(self.staging)))

    @staticmethod
    def _promote(staged: Path, target: Path) -> None:
        _sync(staged)
        os.utime(staged)  # the sweep's grace counts from here
        target.parent.mkdir(mode=0o700, exist_ok=True)
        staged.rename(target)
        _sync(target.parent)
        _sync(target.parent.parent)


@dataclass(frozen=True, slots=True)
class Blob:
    """An open object; `size` in bytes."""

    file: BinaryIO
    size: int

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes from `start` up to `stop`, in chunks; fewer where the object was cut short meanwhile."""
        await asyncio.to_thread(self.file.seek, start)
        while start < stop and (chunk := await asyncio.to_thread(self.file.read, min(CHUNK, stop - start))):
            yield chunk
            start += len(chunk)

    async def checked_chunks(self, digest: str) -> AsyncIterator[bytes]:
        """All of it, the last chunk only once the whole has proved to be of that digest. Raises Conflict otherwise."""
        found, held = hashlib.sha256(), b""
        async for chunk in self.chunks(0, self.size):
            if held:
                yield held
            await asyncio.to_thread(found.update, chunk)
            held = chunk
        if f"sha256:{found.hexdigest()}" != digest:
            raise Conflict(f"Integrity error: the stored content is not that of {digest}.", "state")
        yield held


def _names(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries)
    except FileNotFoundError:
        return


def _measured(path: Path) -> Measured | None:
    try:
        with path.open("rb", buffering=0) as file:
            found = hashlib.file_digest(file, "sha256")
            return Measured(f"sha256:{found.hexdigest()}", file.tell())
    except FileNotFoundError:
        return None


def _remove_older(path: Path, before: datetime) -> bool:
    try:
        if datetime.fromtimestamp(path.stat().st_mtime, UTC) >= before:
            return False
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _sync(path: Path) -> None:
    """A file's content, or a folder's names, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
