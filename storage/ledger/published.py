"""Checkpoints outside the database: one append-only file per organisation; a line `--` ends each signed note.

Somebody with access to the database and the signing key could rewrite the ledger, but not published checkpoints;
`trailgate verify --against` compares the ledger with such a file.
"""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from domain.audit.ledger import SignedCheckpoint, parse_note, signed_note
from domain.errors import Invalid

END = "--\n"


def checkpoint_file(directory: Path, org_id: UUID) -> Path:
    """Return the file in which an organisation's checkpoints are published."""
    return directory / f"{org_id}.checkpoints"


def read_published(text: str) -> list[SignedCheckpoint]:
    """Parse a published file, ignoring a last note that a crash truncated. Raises Invalid if it has no checkpoint."""
    *notes, _torn = text.split(END)
    if not notes:
        raise Invalid("This file contains no published checkpoint.")
    return [parse_note(note) for note in notes]


def published_size(path: Path) -> int:
    """Return the size of the last checkpoint in the file; 0 when there is none."""
    if not path.exists():
        return 0
    complete = _complete(path.read_text(encoding="utf-8"))
    last = complete.removesuffix(END).rpartition(END)[2]
    return parse_note(last).checkpoint.size if complete else 0


def publish(path: Path, checkpoints: Sequence[SignedCheckpoint]) -> int:
    """Append the checkpoints that the file lacks, durably, under a file lock; return how many were appended."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(len(_complete(path.read_text(encoding="utf-8")).encode()))
        size = published_size(path)
        missing = [signed for signed in checkpoints if signed.checkpoint.size > size]
        file.write("".join(signed_note(c.checkpoint, c.key_id, c.signature) + END for c in missing))
        file.flush()
        os.fsync(file.fileno())
    return len(missing)


def _complete(text: str) -> str:
    """Return the text without a last note that a crash truncated."""
    notes, end, _torn = text.rpartition(END)
    return notes + end
