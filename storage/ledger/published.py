"""Checkpoints outside the database: one append-only file per organisation, each note ended by a line `--`.

Who owns the database and the signing key could rewrite everything but what was published; `trailgate verify --against`
holds the ledger to such a file.
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
    """Where an organisation's checkpoints are published."""
    return directory / f"{org_id}.checkpoints"


def read_published(text: str) -> list[SignedCheckpoint]:
    """The checkpoints of a published file; a note that was cut short by a crash is not one. Raises Invalid."""
    *notes, _torn = text.split(END)
    if not notes:
        raise Invalid("This file holds no published checkpoint.")
    return [parse_note(note) for note in notes]


def published_size(path: Path) -> int:
    """The size of the last checkpoint in the file; 0 when there is none."""
    if not path.exists():
        return 0
    complete = _complete(path.read_text(encoding="utf-8"))
    return read_published(complete)[-1].checkpoint.size if complete else 0


def publish(path: Path, checkpoints: Sequence[SignedCheckpoint]) -> int:
    """Append the checkpoints that the file lacks, durably; the answer is how many. Two publishers take turns."""
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
    """Without a last note that a crash cut short."""
    notes, end, _torn = text.rpartition(END)
    return notes + end
