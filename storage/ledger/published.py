"""Checkpoints outside the database: one append-only file per organisation; a line `--` ends each signed note.

Somebody with access to the database and the signing key could rewrite the ledger, but not published checkpoints;
`trailgate verify` compares the ledger with them, and `--against` with a copy from elsewhere.
"""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from domain.audit.ledger import SignedCheckpoint, parse_note, signed_note
from domain.errors import Invalid
from storage.ledger.marks import organisations_of

_SUFFIX = ".checkpoints"
END = "--\n"
_END = END.encode()
MAX_NOTE = 512
"""Bytes that a note may have; it has some 300. After a crash a file may end with a part of one, or with zeros."""
_WINDOW = 4 * MAX_NOTE


def checkpoint_file(directory: Path, org_id: UUID) -> Path:
    """Return the file in which an organisation's checkpoints are published."""
    return directory / f"{org_id}{_SUFFIX}"


def published_ledgers(directory: Path) -> set[UUID]:
    """Return the organisations that have a file in the directory."""
    return organisations_of(directory, _SUFFIX)


def read_published(text: str) -> list[SignedCheckpoint]:
    """Parse a published file, ignoring a last note that a crash truncated. Raises Invalid if it has no checkpoint."""
    *notes, _torn = text.split(END)
    if not notes:
        raise Invalid("This file contains no published checkpoint.")
    return [parse_note(note) for note in notes]


def last_published(path: Path) -> SignedCheckpoint | None:
    """Return the last checkpoint in the file, reading only its end; None when there is none.

    Raises Invalid for a file that ends with anything but a checkpoint or the beginning of one.
    """
    try:
        with path.open("rb") as file:
            return _last(file)[1]
    except FileNotFoundError:
        return None


def publish(path: Path, checkpoints: Sequence[SignedCheckpoint]) -> int:
    """Append the checkpoints that the file lacks, durably, under a file lock; return how many were appended.

    A last note that a crash truncated is replaced. Raises Invalid like `last_published`; then nothing is changed.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        end, last = _last(file)
        size = last.checkpoint.size if last else 0
        missing = [signed for signed in checkpoints if signed.checkpoint.size > size]
        file.truncate(end)
        file.write(b"".join(signed_note(c.checkpoint, c.key_id, c.signature).encode() + _END for c in missing))
        file.flush()
        os.fsync(file.fileno())
    return len(missing)


def _last(file: BinaryIO) -> tuple[int, SignedCheckpoint | None]:
    """Return where the last complete note ends, and that note."""
    length = file.seek(0, os.SEEK_END)
    tail, start = b"", length
    while start > 0 and tail.count(_END) < 2:  # noqa: PLR2004 - the ends of the last note and of the one before
        start = max(0, length - max(_WINDOW, 2 * len(tail)))
        file.seek(start)
        tail = file.read()
    notes, end, torn = tail.rpartition(_END)
    if len(torn.rstrip(b"\0")) > MAX_NOTE:
        raise Invalid(f"The file ends with {len(torn)} bytes that are not a checkpoint.")
    return length - len(torn), _parsed(notes.rpartition(_END)[2]) if end else None


def _parsed(note: bytes) -> SignedCheckpoint:
    try:
        return parse_note(note.decode())
    except UnicodeDecodeError as error:
        raise Invalid("The last note of the file is not text.") from error
