"""Reading the ledger."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.audit import merkle
from domain.audit.ledger import Checkpoint, SignedCheckpoint
from domain.errors import NotFound
from domain.tenant import Tenant
from storage.database import Reader, Row
from storage.paging import Where, capped_count

MAX_SIZE = 2**63 - 1
"""The largest possible size of a ledger: sequence numbers have 64 bits."""

_TILES = """
SELECT t.level, t.n, t.hashes FROM ledger_tiles t
JOIN unnest($2::smallint[], $3::int[]) AS wanted(level, n) USING (level, n)
WHERE t.org_id = $1
"""


async def read_tiles(reader: Reader, org_id: UUID, wanted: Collection[merkle.TileId]) -> dict[merkle.TileId, bytes]:
    """Return those of the wanted tiles of the organisation's tree that exist."""
    rows = await reader.rows(_TILES, org_id, [level for level, _ in wanted], [n for _, n in wanted])
    return {(row["level"], row["n"]): row["hashes"] for row in rows}


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A ledger entry with the audit event that it seals."""

    seq: int
    event_id: UUID
    leaf: bytes
    previous_hash: bytes
    entry_hash: bytes
    sealed_at: datetime
    name: str
    record_kind: str
    record_id: UUID
    record_version: int
    payload: Mapping[str, Any] | None


_ENTRIES = """
SELECT l.seq, l.event_id, l.leaf, l.previous_hash, l.entry_hash, l.sealed_at,
       e.name, e.record_kind, e.record_id, e.record_version, e.payload
FROM ledger_entries l JOIN audit_events e ON e.id = l.event_id
"""


async def list_entries(reader: Reader, tenant: Tenant, *, after: int, size: int) -> list[LedgerEntry]:
    """Return up to `size` entries after number `after`, in sequence.

    The numbers have no gaps, so a page is a range of numbers and needs no OFFSET.
    """
    rows = await reader.rows(
        f"{_ENTRIES} WHERE l.org_id = $1 AND l.seq > $2 AND l.seq <= $3 ORDER BY l.seq",
        tenant.org_id,
        after,
        after + size,
    )
    return [LedgerEntry(**row) for row in rows]


async def ledger_size(reader: Reader, tenant: Tenant) -> int:
    """Return the number of entries, which is the last sequence number."""
    return await reader.value("SELECT coalesce(max(seq), 0) FROM ledger_entries WHERE org_id = $1", tenant.org_id)  # type: ignore[no-any-return]


async def entry_of_record(reader: Reader, tenant: Tenant, record_id: UUID, seq: int | None = None) -> LedgerEntry:
    """Return the newest entry of a record, or the one with number `seq`. Raises NotFound."""
    row = await reader.row(
        f"{_ENTRIES} WHERE l.org_id = $1 AND e.org_id = $1 AND e.record_id = $2 AND ($3::bigint IS NULL OR l.seq = $3) "
        "ORDER BY l.seq DESC LIMIT 1",
        tenant.org_id,
        record_id,
        seq,
    )
    if row is None:
        which = "entry" if seq is None else f"entry {seq}"
        raise NotFound(
            f"The ledger has no {which} of record {record_id}; a record just written is sealed within seconds."
        )
    return LedgerEntry(**row)


_FINITE = "least(greatest({}, '0001-01-02Z'), '9999-12-30Z')"
"""A time within what Python can hold: one that somebody moved beyond must not keep other ledgers from being signed."""

_CHECKPOINTS = f"""
SELECT c.org_id, c.size, c.root, c.chain_hash, c.key_id, c.signature, {_FINITE.format("c.created_at")} AS created_at
FROM checkpoints c
"""


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """A checkpoint and the time of its signature, which the signature does not cover."""

    signed: SignedCheckpoint
    created_at: datetime

    @classmethod
    def of(cls, row: Row) -> "StoredCheckpoint":
        """Convert a row of `_CHECKPOINTS`."""
        checkpoint = Checkpoint(row["org_id"], row["size"], row["root"], row["chain_hash"])
        signed = SignedCheckpoint(checkpoint, row["key_id"], row["signature"])
        return cls(signed, row["created_at"])


_NEWEST = f"""
SELECT newest.* FROM organisations o CROSS JOIN LATERAL (
  {_CHECKPOINTS} WHERE c.org_id = o.id ORDER BY c.size DESC LIMIT 1
) newest
"""


async def newest_checkpoints(reader: Reader) -> list[SignedCheckpoint]:
    """Return the newest checkpoint of every organisation that has one."""
    return [StoredCheckpoint.of(row).signed for row in await reader.rows(_NEWEST)]


async def newest_checkpoint(reader: Reader, org_id: UUID) -> StoredCheckpoint | None:
    """Return the newest checkpoint of an organisation; None when there is none."""
    row = await reader.row(f"{_CHECKPOINTS} WHERE c.org_id = $1 ORDER BY c.size DESC LIMIT 1", org_id)
    return StoredCheckpoint.of(row) if row else None


async def checkpoint_of(reader: Reader, tenant: Tenant, size: int | None = None) -> StoredCheckpoint:
    """Return the checkpoint of a size, or the newest for None. Raises NotFound."""
    if size is None:
        found = await newest_checkpoint(reader, tenant.org_id)
    else:
        row = await reader.row(f"{_CHECKPOINTS} WHERE c.org_id = $1 AND c.size = $2", tenant.org_id, size)
        found = StoredCheckpoint.of(row) if row else None
    if found is None:
        raise NotFound("There is no checkpoint yet." if size is None else f"There is no checkpoint of size {size}.")
    return found


async def oldest_checkpoint_size(reader: Reader, tenant: Tenant) -> int | None:
    """Return the size of the first checkpoint; None when there is none."""
    return await reader.value("SELECT min(size) FROM checkpoints WHERE org_id = $1", tenant.org_id)  # type: ignore[no-any-return]


async def list_checkpoints(
    reader: Reader, tenant: Tenant, *, before: int | None, limit: int
) -> tuple[list[StoredCheckpoint], int, bool]:
    """Return checkpoints smaller than `before`, largest first; the total, and whether it was cut at the count limit."""
    rows = await reader.rows(
        f"{_CHECKPOINTS} WHERE c.org_id = $1 AND c.size < $2 ORDER BY c.size DESC LIMIT $3",
        tenant.org_id,
        MAX_SIZE if before is None else before,
        limit,
    )
    count, capped = await capped_count(reader, "checkpoints c", Where(("c.org_id = $1",), (tenant.org_id,)))
    return [StoredCheckpoint.of(row) for row in rows], count, capped


async def checkpoints_after(reader: Reader, org_id: UUID, size: int, limit: int) -> list[StoredCheckpoint]:
    """Return checkpoints larger than `size`, smallest first."""
    rows = await reader.rows(
        f"{_CHECKPOINTS} WHERE c.org_id = $1 AND c.size > $2 ORDER BY c.size LIMIT $3", org_id, size, limit
    )
    return [StoredCheckpoint.of(row) for row in rows]


async def inclusion_proof(reader: Reader, org_id: UUID, seq: int, size: int) -> list[bytes]:
    """Return the audit path of entry `seq` in the tree of that size, read with one statement."""
    tiles = await read_tiles(reader, org_id, merkle.tiles_for_inclusion(seq - 1, size))
    return merkle.inclusion_proof(seq - 1, size, tiles)


async def consistency_proof(reader: Reader, org_id: UUID, old: int, new: int) -> list[bytes]:
    """Return the proof that the tree of size `new` extends that of size `old`, read with one statement."""
    tiles = await read_tiles(reader, org_id, merkle.tiles_for_consistency(old, new))
    return merkle.consistency_proof(old, new, tiles)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs checkpoints, or did in the past."""

    key_id: str
    public_key: bytes
    created_at: datetime
    is_current: bool


async def signing_keys(reader: Reader, trusted: Mapping[str, bytes]) -> list[SigningKey]:
    """Return every trusted key that this installation ever signed with, newest first; all organisations share them."""
    rows = await reader.rows(
        "SELECT key_id, created_at, is_current FROM signing_keys WHERE key_id = ANY($1::text[]) "
        "ORDER BY created_at DESC, key_id",
        list(trusted),
    )
    return [SigningKey(public_key=trusted[row["key_id"]], **row) for row in rows]


async def waiting(reader: Reader, tenant: Tenant) -> int:
    """Return the number of events that are not sealed yet."""
    return await reader.value("SELECT count(*) FROM unsealed WHERE org_id = $1", tenant.org_id)  # type: ignore[no-any-return]


_UNSIGNED = f"""
WITH RECURSIVE ledgers AS (
  (SELECT org_id FROM ledger_entries ORDER BY org_id LIMIT 1)
  UNION ALL
  SELECT (SELECT org_id FROM ledger_entries WHERE org_id > l.org_id ORDER BY org_id LIMIT 1)
  FROM ledgers l WHERE l.org_id IS NOT NULL
)
SELECT l.org_id, {_FINITE.format("c.created_at")} AS signed_at, {_FINITE.format("first.sealed_at")} AS since
FROM ledgers l
CROSS JOIN LATERAL (SELECT seq FROM ledger_entries WHERE org_id = l.org_id ORDER BY seq DESC LIMIT 1) head
LEFT JOIN LATERAL (
  SELECT size, created_at FROM checkpoints WHERE org_id = l.org_id ORDER BY size DESC LIMIT 1
) c ON true
CROSS JOIN LATERAL (
  SELECT sealed_at FROM ledger_entries WHERE org_id = l.org_id AND seq = coalesce(c.size, 0) + 1
) first
WHERE l.org_id IS NOT NULL AND head.seq > coalesce(c.size, 0)
"""


@dataclass(frozen=True, slots=True)
class UnsignedLedger:
    """A ledger with entries that no checkpoint covers: the time of its last checkpoint, and of the first such entry."""

    org_id: UUID
    signed_at: datetime | None
    since: datetime


async def unsigned_ledgers(reader: Reader) -> list[UnsignedLedger]:
    """Return the ledgers with entries that no checkpoint covers."""
    return [UnsignedLedger(**row) for row in await reader.rows(_UNSIGNED)]
