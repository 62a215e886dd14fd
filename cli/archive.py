"""The archive that `backup` writes and `restore` reads: a plain tar with a manifest of digests as its last member.

It is read as untrusted input: only known names and complete regular files, no compression, and no file is written to a
path taken from the archive. The digests prove that the archive is complete, not who made it. The database executes the
SQL of the dump, so restore only archives from a trusted source.
"""

import hashlib
import io
import os
import re
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from domain.errors import Invalid

DUMP = "database.dump"
MANIFEST = "manifest.json"
CHECKPOINTS = "checkpoints/"
KEYS = "keys/"
TRUSTED_KEYS = f"{KEYS}trusted.keys"
BLOBS = "blobs/sha256/"

MAX_MANIFEST = 64 * 2**20
MAX_KEY = 4096
_CHUNK = 2**20

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAMES = re.compile(
    rf"manifest\.json|database\.dump|keys/(?:master|signing)\.key|keys/trusted\.keys|checkpoints/{_UUID}\.checkpoints"
    rf"|{BLOBS}[0-9a-f]{{64}}"
)


class Manifest(BaseModel):
    """The members of an archive: name → SHA-256 in hex."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["trailgate-backup/1"] = "trailgate-backup/1"
    members: dict[str, str]


class _Digesting(io.RawIOBase):
    """Hashes the bytes that are read through it."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


def write_archive(path: Path, members: Mapping[str, Path]) -> None:
    """Write the named files into a new archive of mode 0600 and sync it to disk. Raises OSError."""
    digests: dict[str, str] = {}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w:") as tar:
            for name, source in members.items():
                with source.open("rb") as opened:
                    reader = _Digesting(opened)
                    tar.addfile(_member(name, os.fstat(opened.fileno()).st_size), reader)
                    digests[name] = reader.digest.hexdigest()
            manifest = Manifest(members=digests).model_dump_json(indent=1).encode()
            tar.addfile(_member(MANIFEST, len(manifest)), io.BytesIO(manifest))
        file.flush()
        os.fsync(file.fileno())


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, int(time.time())
    return member


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive whose members are all known, regular and match the manifest."""

    tar: tarfile.TarFile
    members: Mapping[str, tarfile.TarInfo]

    def names(self, prefix: str) -> list[str]:
        """Return the members below a folder, sorted."""
        return sorted(name for name in self.members if name.startswith(prefix))

    def stream(self, name: str) -> Iterator[bytes]:
        """Yield a member in pieces. Raises Invalid when the archive ends within it."""
        member = self.members[name]
        file = self.tar.extractfile(member)
        left = member.size
        while file is not None and left:
            piece = file.read(min(_CHUNK, left))
            if not piece:
                raise Invalid(f"The archive ends within {name}.")
            left -= len(piece)
            yield piece

    def read(self, name: str) -> bytes:
        """Return the content of a small member."""
        return b"".join(self.stream(name))


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open an archive and check every member. Raises Invalid for anything that `write_archive` cannot have written."""
    try:
        with tarfile.open(path, mode="r:") as tar:
            archive = Archive(tar, _known_members(tar))
            _check_digests(archive)
            yield archive
    except (tarfile.TarError, EOFError) as error:
        raise Invalid(f"{path} is not a Trailgate backup: {error}") from error


def _known_members(tar: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    """Return the members by name. Raises Invalid at the first unknown one, so that a million of them cost no more."""
    members: dict[str, tarfile.TarInfo] = {}
    try:
        for member in tar:
            if problem := _problem(member, members):
                raise Invalid(f"This is not a Trailgate backup: member {member.name[:100]!r} {problem}.")
            members[member.name] = member
    except (ValueError, OverflowError) as error:  # malformed numbers in a header
        raise Invalid("This is not a Trailgate backup: a header is damaged.") from error
    if not {MANIFEST, DUMP} <= members.keys():
        raise Invalid("This is not a complete Trailgate backup: its manifest or dump is missing.")
    return members


def _problem(member: tarfile.TarInfo, before: Mapping[str, tarfile.TarInfo]) -> str | None:
    if not _NAMES.fullmatch(member.name):
        return "has an unknown name"
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.sparse is not None:
        return "is not a plain file"
    if member.name in before:
        return "occurs twice"
    if member.name.startswith(KEYS) and member.size > MAX_KEY:
        return "is too large for a key"
    if member.name == MANIFEST and member.size > MAX_MANIFEST:
        return "is too large for a manifest"
    return None


def _check_digests(archive: Archive) -> None:
    try:
        manifest = Manifest.model_validate_json(archive.read(MANIFEST))
    except ValidationError as error:
        raise Invalid("This is not a Trailgate backup of a supported version: its manifest is malformed.") from error
    if manifest.members.keys() != archive.members.keys() - {MANIFEST}:
        raise Invalid("The members of the archive are not those that its manifest lists.")
    for name, expected in manifest.members.items():
        digest = hashlib.sha256()
        for piece in archive.stream(name):
            digest.update(piece)
        if digest.hexdigest() != expected:
            raise Invalid(f"The archive is damaged: {name} does not match its digest.")
