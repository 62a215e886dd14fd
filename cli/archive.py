"""The file that `backup` writes and `restore` reads: a plain tar with a manifest of digests as its last member.

It is read as if a stranger had made it: only known names, only regular files that are really there, nothing compressed
and nothing written to a path that the archive names. What the digests prove is that it is whole, not who made it: the
dump inside is SQL that the database will run, so only an archive from a trusted place is to be restored.
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
BLOBS = "blobs/sha256/"

MAX_MANIFEST = 64 * 2**20
MAX_KEY = 4096
_CHUNK = 2**20

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAMES = re.compile(
    rf"manifest\.json|database\.dump|keys/(?:master|signing)\.key|checkpoints/{_UUID}\.checkpoints"
    rf"|{BLOBS}[0-9a-f]{{64}}"
)


class Manifest(BaseModel):
    """What an archive holds: name → SHA-256 in hex."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["trailgate-backup/1"] = "trailgate-backup/1"
    members: dict[str, str]


class _Digesting(io.RawIOBase):
    """Hashes what is read through it."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


def write_archive(path: Path, members: Mapping[str, Path]) -> None:
    """Write the named files into a new archive, durably, for its owner alone. Raises OSError."""
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
    """An archive whose every member is known, regular and as the manifest says."""

    tar: tarfile.TarFile
    members: Mapping[str, tarfile.TarInfo]

    def names(self, prefix: str) -> list[str]:
        """The members below a folder."""
        return sorted(name for name in self.members if name.startswith(prefix))

    def stream(self, name: str) -> Iterator[bytes]:
        """A member, piece by piece. Raises Invalid when the archive ends within it."""
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
        """A small member, whole."""
        return b"".join(self.stream(name))


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open an archive and check every member of it. Raises Invalid for what `write_archive` cannot have written."""
    try:
        with tarfile.open(path, mode="r:") as tar:
            archive = Archive(tar, _known_members(tar))
            _check_digests(archive)
            yield archive
    except (tarfile.TarError, EOFError) as error:
        raise Invalid(f"{path} is not a Trailgate backup: {error}") from error


def _known_members(tar: tarfile.TarFile) -> dict[str, tarfile.TarInfo]:
    """Stops at the first member that does not belong: an archive of a million bad ones costs no more than one."""
    members: dict[str, tarfile.TarInfo] = {}
    try:
        for member in tar:
            if problem := _problem(member, members):
                raise Invalid(f"This is not a Trailgate backup: member {member.name[:100]!r} {problem}.")
            members[member.name] = member
    except (ValueError, OverflowError) as error:  # numbers in headers that are none
        raise Invalid("This is not a Trailgate backup: a header is damaged.") from error
    if not {MANIFEST, DUMP} <= members.keys():
        raise Invalid("This is not a Trailgate backup: it has no manifest or no dump, or was cut short.")
    return members


def _problem(member: tarfile.TarInfo, before: Mapping[str, tarfile.TarInfo]) -> str | None:
    if not _NAMES.fullmatch(member.name):
        return "has no name of ours"
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.sparse is not None:
        return "is not a plain file"
    if member.name in before:
        return "comes twice"
    if member.name.startswith(KEYS) and member.size > MAX_KEY:
        return "is too large for a key"
    if member.name == MANIFEST and member.size > MAX_MANIFEST:
        return "is too large for a manifest"
    return None


def _check_digests(archive: Archive) -> None:
    try:
        manifest = Manifest.model_validate_json(archive.read(MANIFEST))
    except ValidationError as error:
        raise Invalid("This is not a Trailgate backup of a version known here: its manifest does not read.") from error
    if manifest.members.keys() != archive.members.keys() - {MANIFEST}:
        raise Invalid("The archive does not hold what its manifest lists.")
    for name, expected in manifest.members.items():
        digest = hashlib.sha256()
        for piece in archive.stream(name):
            digest.update(piece)
        if digest.hexdigest() != expected:
            raise Invalid(f"The archive is damaged: {name} is not what was backed up.")
