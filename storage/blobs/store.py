"""Content-addressed objects on the local disk: `<root>/sha256/ab/cdef…`.

Content is streamed into `<root>/staging` on the same file system, so that a rename puts it in place. The object is in
place before its row is written: an object without a row is harmless and swept later, while a row without its object
would promise content that does not exist.
"""

import hashlib
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, ParamSpec, Protocol, TypeVar

from domain.errors import Conflict
from storage.blobs.free_space import space_needed
from storage.threads import Threads

CHUNK = 1 << 20
"""Bytes per read."""
READERS, KEEPERS = 4, 8
"""Threads that read objects, and threads that put them in place, which wait for the disk only."""
SHARDS = tuple(f"{number:02x}" for number in range(256))
"""The folders that hold the objects, named by the first two digits of the digest."""

P = ParamSpec("P")
Result = TypeVar("Result")

_DIGEST = re.compile(r"sha256:([0-9a-f]{2})([0-9a-f]{62})")
_REST = re.compile(r"[0-9a-f]{62}")


class Keeper(Protocol):
    """The part of a store that commands use. A digest is `sha256:` and 64 lower-case hexadecimal digits."""

    async def promote(self, staged: Path, digest: str) -> None:
        """Move a staged file, whose SHA-256 is `digest`, to the place of its object."""


class Rehearsal:
    """The store for dry runs: it stores nothing."""

    async def promote(self, staged: Path, digest: str) -> None:
        """Leave the staged file in place, for the caller to delete."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The actual digest and size in bytes of a stored object."""

    digest: str
    size: int


class BlobStore:
    """The objects below one folder. Slow file operations run in threads of the store's own.

    Objects are put in place within transactions: they never wait for those who read whole files.
    """

    def __init__(self, root: Path) -> None:
        self._objects = root / "sha256"
        self.staging = root / "staging"
        self._readers = Threads(READERS, "blob readers")
        self._keepers = Threads(KEEPERS, "blob keepers")
        self._owner: Hashable = None

    def of(self, owner: Hashable) -> "BlobStore":
        """Return the same store, with a fair share of its threads for this owner, an organisation."""
        same = copy(self)
        same._owner = owner  # noqa: SLF001 - our own class
        return same

    def prepare(self) -> None:
        """Create missing folders, accessible to their owner only."""
        for folder in (self._objects, self.staging):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Return the path of a digest's object. Raises ValueError for any other text, so it never becomes a path."""
        found = _DIGEST.fullmatch(digest)
        if found is None:
            raise ValueError(f"not a digest: {digest!r}")
        return self._objects / found[1] / found[2]

    async def promote(self, staged: Path, digest: str) -> None:
        """Move a staged file to the place of its object; it is durable when this returns.

        An existing object is replaced by the file, which was just hashed; this repairs a damaged object. The call is
        quick if the file was synced to disk before. Raises Unavailable when the disk is full.
        """
        with space_needed():
            await self._keepers.run(self._owner, self._promote, staged, self.path(digest))

    @asynccontextmanager
    async def opened(self, digest: str) -> "AsyncIterator[Blob]":
        """Open an object for reading. Raises Conflict when it is missing although it has a row."""
        try:
            file = await self._read(self.path(digest).open, "rb", buffering=0)
        except FileNotFoundError as error:
            raise Conflict(f"Integrity error: the content of {digest} is missing from the store.", "state") from error
        try:
            yield Blob(file, os.fstat(file.fileno()).st_size, self._read)
        finally:
            file.close()

    async def measure(self, digest: str) -> Measured | None:
        """Read the whole object and return its actual digest and size; None when it does not exist."""
        return await self._read(_measured, self.path(digest))

    def objects(self, shard: str) -> Iterator[str]:
        """Yield the digests of one shard's objects, in no particular order."""
        yield from (f"sha256:{shard}{name}" for name in _names(self._objects / shard) if _REST.fullmatch(name))

    def remove_older(self, digest: str, before: datetime) -> bool:
        """Remove an object if it was put in place before that time; return whether it was removed."""
        return _remove_older(self.path(digest), before)

    def remove_stale(self, before: datetime) -> int:
        """Remove the staging files not written to since that time; return how many."""
        return sum(_remove_older(self.staging / name, before) for name in list(_names(self.staging)))

    async def _read(self, work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        return await self._readers.run(self._owner, work, *args, **kwargs)

    @staticmethod
    def _promote(staged: Path, target: Path) -> None:
        _sync(staged)
        os.utime(staged)  # the grace period of the sweep starts now
        target.parent.mkdir(mode=0o700, exist_ok=True)
        staged.rename(target)
        _sync(target.parent)
        _sync(target.parent.parent)


@dataclass(frozen=True, slots=True)
class Blob:
    """An open object; `size` in bytes. `run` runs a function in a thread."""

    file: BinaryIO
    size: int
    run: Callable[..., Awaitable[bytes]]

    async def chunks(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` up to `stop` in chunks; fewer if the file is shorter."""
        while start < stop and (chunk := await self.run(self._chunk, start, stop)):
            yield chunk
            start += len(chunk)

    async def checked_chunks(self, digest: str) -> AsyncIterator[bytes]:
        """Yield the content in chunks, the last one only after the digest was checked. Raises Conflict otherwise."""
        found, held, start = hashlib.sha256(), b"", 0
        while start < self.size and (chunk := await self.run(self._hashed_chunk, start, found)):
            if held:
                yield held
            held = chunk
            start += len(chunk)
        if f"sha256:{found.hexdigest()}" != digest:
            raise Conflict(f"Integrity error: the stored content is not that of {digest}.", "state")
        yield held

    def _chunk(self, start: int, stop: int) -> bytes:
        return os.pread(self.file.fileno(), min(CHUNK, stop - start), start)

    def _hashed_chunk(self, start: int, found: "hashlib._Hash") -> bytes:
        chunk = self._chunk(start, self.size)
        found.update(chunk)
        return chunk


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
    """Sync a file's content, or the entries of a folder, to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
