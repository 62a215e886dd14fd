"""The head of a ledger: its state after the newest entry, and whether this is what Trailgate itself sealed.

Whoever owns the database can write entries, tiles and checkpoints, and can erase the newest ones. Four things are out
of reach: the key of the codes, the signing key, the published checkpoints and the high-water mark. The sealer compares
the ledger with them before it seals or signs; `trailgate verify`, `trailgate doctor` and the API do the same.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import asyncpg

from domain.audit import merkle
from domain.audit.ledger import GENESIS, SignedCheckpoint, entry_hash
from domain.errors import Invalid
from storage.authenticator import Authenticator, Purpose, event_data
from storage.database import Reader, Row, Transaction
from storage.keys import signature_holds
from storage.ledger.marks import (
    Mark,
    erased_events,
    events_and_entries,
    mark_file,
    read_mark,
    read_waiting,
    waiting_file,
)
from storage.ledger.published import checkpoint_file, last_published
from storage.ledger.queries import newest_checkpoint, read_tiles
from storage.settings import Settings

Told = TypeVar("Told")


class Inconsistent(Exception):  # noqa: N818 - a state of the ledger
    """The ledger is not what was sealed: nothing more is sealed or signed until somebody has looked. Says why."""


MALFORMED = (ValueError, OverflowError, asyncpg.DataError, asyncpg.UniqueViolationError)
"""Errors from rows of a ledger that Trailgate cannot have written, such as a time before the year 1 or a second seal of
one event. Whoever owns the database must not stop the other ledgers with them."""

LARGEST = 2**38
"""Entries that a ledger may have: tile numbers have 31 bits."""


@dataclass(frozen=True, slots=True)
class Known:
    """What this host knows about one ledger outside the database. `keys` are the trusted public keys by id.

    A host without any key, such as one that a backup without keys was restored on, checks no signatures.
    """

    mark: Mark
    published: SignedCheckpoint | None
    keys: Mapping[str, bytes]
    waiting: frozenset[UUID] = frozenset()
    """Events that waited for the ledger."""


@dataclass(frozen=True, slots=True)
class Head:
    """The state after the newest entry: `root` is the Merkle root, `chain_hash` the hash of that entry."""

    org_id: UUID
    size: int
    chain_hash: bytes
    root: bytes
    sealed_at: datetime | None

    def data(self) -> bytes:
        """Return what the code of the head covers: 16, 8, 32 and 32 bytes."""
        return self.org_id.bytes + self.size.to_bytes(8, "big") + self.chain_hash + self.root


def known_mark(settings: Settings, org_id: UUID) -> Mark:
    """Read the high-water mark of a ledger, blocking. Raises Inconsistent if its file holds anything else."""
    return _told(read_mark, mark_file(settings, org_id), Mark())


def known_of(settings: Settings, keys: Mapping[str, bytes], org_id: UUID) -> Known:
    """Read what this host knows about a ledger: blocking, and with the last published checkpoint only.

    Raises Inconsistent if a file is not what Trailgate wrote; one that cannot be read tells nothing.
    """
    file = checkpoint_file(settings.checkpoints, org_id)
    published = _told(last_published, file, None, "the published checkpoints cannot be read: ")
    waiting = _told(read_waiting, waiting_file(settings, org_id), frozenset[UUID]())
    return Known(known_mark(settings, org_id), published, keys, waiting)


def _told(read: Callable[[Path], Told], file: Path, nothing: Told, problem: str = "") -> Told:
    """Return what a file of this host tells. Raises Inconsistent if it is not what Trailgate wrote.

    A file that cannot be read tells nothing: a broken disk must not stop the ledger.
    """
    try:
        return read(file)
    except OSError:
        return nothing
    except Invalid as error:
        raise Inconsistent(f"{problem}{error}") from error


_HEAD = """
SELECT seq, event_id, leaf, previous_hash, entry_hash, sealed_at FROM ledger_entries
WHERE org_id = $1 ORDER BY seq DESC LIMIT 1
"""
_AUTHENTIC = "SELECT size, chain_hash, root, mac FROM ledger_heads WHERE org_id = $1"
_HASH = "SELECT entry_hash FROM ledger_entries WHERE org_id = $1 AND seq = $2"


async def read_head(reader: Reader, org_id: UUID) -> tuple[Head, Mapping[merkle.TileId, bytes]]:
    """Return the head of a ledger as its entries and tiles say, and the tiles that an append needs.

    Raises Inconsistent if the tiles do not fit.
    """
    newest = await reader.row(_HEAD, org_id)
    if newest is None:
        return Head(org_id, 0, GENESIS, merkle.EMPTY_ROOT, None), {}
    size = newest["seq"]
    if not 0 < size <= LARGEST:
        raise Inconsistent(f"it has an entry with the number {size}")
    content = (newest[name] for name in ("previous_hash", "seq", "event_id", "leaf", "sealed_at"))
    if entry_hash(*content) != newest["entry_hash"]:
        raise Inconsistent("the hash of its newest entry does not match its content")
    wanted = merkle.rightmost_tiles(size)
    tiles = await read_tiles(reader, org_id, wanted)
    if any(len(tiles.get(tile, b"")) != merkle.length_of(tile, size) for tile in wanted):
        raise Inconsistent(f"the tiles do not fit {size} entries")
    return Head(org_id, size, newest["entry_hash"], _root(size, tiles), newest["sealed_at"]), tiles


def _root(size: int, tiles: Mapping[merkle.TileId, bytes]) -> bytes:
    try:
        return merkle.root(size, tiles)
    except ValueError as error:
        raise Inconsistent(f"the tiles do not fit {size} entries: {error}") from error


async def check_head(reader: Reader, head: Head, authenticator: Authenticator) -> None:
    """Compare a head with its code. Raises Inconsistent."""
    row = await reader.row(_AUTHENTIC, head.org_id)
    if row is None:
        if head.size:
            raise Inconsistent("the code of its head is missing")
        return
    if row["size"] < 0:
        raise Inconsistent(f"the code of its head is for {row['size']} entries")
    written = Head(head.org_id, row["size"], row["chain_hash"], row["root"], None)
    if not authenticator.holds(row["mac"], Purpose.HEAD, written.data()):
        raise Inconsistent("the code of its head is not one that Trailgate made with this master key")
    if written.data() != head.data():
        raise Inconsistent(f"its newest entries or tiles are not those that Trailgate wrote up to entry {row['size']}")


_SET = """
INSERT INTO ledger_heads (org_id, size, chain_hash, root, mac) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (org_id) DO UPDATE
SET size = excluded.size, chain_hash = excluded.chain_hash, root = excluded.root, mac = excluded.mac
"""


async def set_head(tx: Transaction, head: Head) -> None:
    """Write the code of a head, in the transaction of its entries."""
    mac = tx.authenticator.mac(Purpose.HEAD, head.data())
    await tx.execute(_SET, head.org_id, head.size, head.chain_hash, head.root, mac)


def is_authentic(row: Row, org_id: UUID, authenticator: Authenticator) -> bool:
    """Return whether Trailgate wrote a waiting event, by the code of its row."""
    return authenticator.holds(row["mac"], Purpose.EVENT, event_data(org_id, row["event_id"], row["leaf"]))


def check_waiting(rows: Iterable[Row], head: Head, authenticator: Authenticator) -> None:
    """Check the codes of waiting events. Raises Inconsistent for one that Trailgate did not make."""
    for row in rows:
        if not is_authentic(row, head.org_id, authenticator):
            raise Inconsistent(f"the waiting event {row['event_id']} is not one that Trailgate wrote")


def check_complete(seen: Mark, mark: Mark) -> None:
    """Compare what a ledger has with its high-water mark. Raises Inconsistent if it has lost events or entries."""
    if seen.events < mark.events or seen.entries < mark.entries:
        lost = max(mark.events - seen.events, mark.entries - seen.entries)
        raise Inconsistent(f"{lost} of the {mark.events} events that were committed are gone")


async def check_history(reader: Reader, head: Head, seen: Mark, known: Known) -> None:
    """Compare a ledger with its high-water mark, its newest checkpoint and the last published one.

    Raises Inconsistent if it has lost events or entries, or does not begin with what was published.
    """
    check_complete(seen, known.mark)
    if erased := await erased_events(reader, head.org_id, known.waiting):
        raise Inconsistent(f"{len(erased)} events that waited for the ledger are gone, among them {min(erased)}")
    newest = await newest_checkpoint(reader, head.org_id)
    for signed in (newest.signed if newest else None, known.published):
        if signed:
            await _check_contains(reader, head, signed, known.keys)


async def _check_contains(reader: Reader, head: Head, signed: SignedCheckpoint, keys: Mapping[str, bytes]) -> None:
    checkpoint = signed.checkpoint
    what = f"the checkpoint of size {checkpoint.size}"
    if keys and not trusted(signed, keys):
        raise Inconsistent(f"{what} is not signed by a key that this installation trusts")
    if checkpoint.org_id != head.org_id or checkpoint.size > head.size:
        raise Inconsistent(f"the ledger has {head.size} entries and does not contain {what}")
    tiles = await read_tiles(reader, head.org_id, merkle.rightmost_tiles(checkpoint.size))
    if _root(checkpoint.size, tiles) != checkpoint.root:
        raise Inconsistent(f"the entries do not lead to the root of {what}")
    if await reader.value(_HASH, head.org_id, checkpoint.size) != checkpoint.chain_hash:
        raise Inconsistent(f"the chain does not lead to the last hash of {what}")


def trusted(signed: SignedCheckpoint, keys: Mapping[str, bytes]) -> bool:
    """Return whether a checkpoint is signed by one of these keys."""
    key = keys.get(signed.key_id)
    return key is not None and signature_holds(key, signed.signature, signed.checkpoint.body())


_LOOKED_AT = 1000
"""Waiting events whose codes a look at a ledger checks; `trailgate verify` checks all."""

_WAITING = """
SELECT u.event_id, u.leaf, u.mac, EXISTS (SELECT FROM ledger_entries l WHERE l.event_id = u.event_id) AS sealed
FROM unsealed u WHERE u.org_id = $1 AND u.event_id > $2 ORDER BY u.event_id LIMIT $3
"""


async def waiting_rows(reader: Reader, org_id: UUID, after: UUID, limit: int) -> list[Row]:
    """Return the next waiting events after an id; `sealed` tells whether the ledger has the event already."""
    return await reader.rows(_WAITING, org_id, after, limit)


async def _check_next(reader: Reader, head: Head, authenticator: Authenticator) -> None:
    rows = await waiting_rows(reader, head.org_id, UUID(int=0), _LOOKED_AT)
    check_waiting(rows, head, authenticator)
    if again := [row["event_id"] for row in rows if row["sealed"]]:
        raise Inconsistent(f"the waiting event {again[0]} is in the ledger already")


async def problem_of(reader: Reader, org_id: UUID, authenticator: Authenticator | None, known: Known) -> str | None:
    """Return what keeps the sealer from signing a ledger, or None. Read `known` before the reader's snapshot begins."""
    try:
        head, _tiles = await read_head(reader, org_id)
        if authenticator:
            await check_head(reader, head, authenticator)
            await _check_next(reader, head, authenticator)
        await check_history(reader, head, await events_and_entries(reader, org_id), known)
    except (Inconsistent, *MALFORMED) as error:
        return str(error)
    return None
