"""High-water marks: how much of each ledger this host has seen, in files beside the keys, outside the database.

A ledger that is shorter than its mark has lost events. The mark of an organisation holds two numbers: the events that
were committed, sealed or waiting, and the entries that were sealed. Neither ever goes down. A second file holds the ids
of events that waited for the ledger: each of them must still wait, or be in it, however many came later.
"""

import fcntl
import os
import re
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from domain.errors import Invalid
from storage.database import Reader
from storage.settings import Settings

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Mark:
    """The highest known numbers of a ledger; both are 0 for one that was never seen here."""

    events: int = 0
    entries: int = 0


def marks_dir(settings: Settings) -> Path:
    """Return the folder of the marks, which exists once this version of Trailgate has sealed anything here."""
    return settings.keys_dir / "ledgers"


def mark_file(settings: Settings, org_id: UUID) -> Path:
    """Return the file of an organisation's mark."""
    return marks_dir(settings) / f"{org_id}.mark"


def waiting_file(settings: Settings, org_id: UUID) -> Path:
    """Return the file of the ids of events that waited."""
    return marks_dir(settings) / f"{org_id}.waiting"


def marked_ledgers(settings: Settings) -> set[UUID]:
    """Return the organisations whose events this host has seen."""
    return organisations_of(marks_dir(settings), ".mark")


def organisations_of(directory: Path, suffix: str) -> set[UUID]:
    """Return the organisations that have a file with this suffix in the directory."""
    names = (path.name.removesuffix(suffix) for path in directory.glob(f"*{suffix}"))
    return {UUID(name) for name in names if _UUID.fullmatch(name)}


def read_mark(path: Path) -> Mark:
    """Read a mark. Raises Invalid for a file that holds anything else."""
    try:
        text = path.read_text()
        events, entries = map(int, text.split() or ("0", "0"))  # empty: a crash came before the first write
    except FileNotFoundError:
        return Mark()
    except ValueError as error:
        raise Invalid(f"{path} is not a high-water mark.") from error
    return Mark(events, entries)


def raise_mark(path: Path, seen: Mark, *, durable: bool = True) -> None:
    """Raise a mark. Several processes may do so at once. If it is not `durable`, a crash of the machine may lose it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        known = read_mark(path)
        raised = Mark(max(known.events, seen.events), max(known.entries, seen.entries))
        if raised != known:
            # Numbers of a fixed width in one write: a crash leaves the old or the new ones.
            os.pwrite(descriptor, f"{raised.events:020} {raised.entries:020}\n".encode(), 0)
            if durable:
                os.fsync(descriptor)


def read_waiting(path: Path) -> frozenset[UUID]:
    """Read the ids of events that waited. Raises Invalid for a file that holds anything else."""
    try:
        return frozenset(map(UUID, path.read_text().split()))
    except FileNotFoundError:
        return frozenset()
    except ValueError as error:
        raise Invalid(f"{path} is not a list of waiting events.") from error


def keep_waiting(path: Path, found: Collection[UUID], waiting: Collection[UUID]) -> None:
    """Take ids that were found again off the list, and add those that wait. Several processes may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        listed = read_waiting(path).difference(found).union(waiting)
        descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(descriptor, "w") as file:
            file.writelines(f"{event_id}\n" for event_id in sorted(listed))
        Path(draft).replace(path)
    finally:
        os.close(folder)


MAX_WAITING = 1000
"""Ids of waiting events that are listed: the newest."""

_WAITING = "SELECT event_id FROM unsealed WHERE org_id = $1 ORDER BY event_id DESC LIMIT $2"
_ERASED = """
SELECT listed.id FROM unnest($2::uuid[]) AS listed(id)
WHERE NOT EXISTS (SELECT FROM ledger_entries l WHERE l.event_id = listed.id)
  AND NOT EXISTS (SELECT FROM unsealed u WHERE u.org_id = $1 AND u.event_id = listed.id)
"""


async def waiting_events(reader: Reader, org_id: UUID) -> list[UUID]:
    """Return the newest events that wait for the ledger."""
    return [row["event_id"] for row in await reader.rows(_WAITING, org_id, MAX_WAITING)]


async def erased_events(reader: Reader, org_id: UUID, listed: Collection[UUID]) -> set[UUID]:
    """Return those of the listed events that neither wait nor are in the ledger."""
    return {row["id"] for row in await reader.rows(_ERASED, org_id, list(listed))} if listed else set()


_SEEN = """
SELECT coalesce((SELECT max(seq) FROM ledger_entries WHERE org_id = $1), 0) AS entries,
       (SELECT count(*) FROM unsealed WHERE org_id = $1) AS waiting
"""


async def events_and_entries(reader: Reader, org_id: UUID) -> Mark:
    """Return the numbers of a ledger as it is now, of one moment."""
    [row] = await reader.rows(_SEEN, org_id)
    return Mark(row["entries"] + row["waiting"], row["entries"])
