"""Verifying a window of the hash chain."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.audit.ledger import GENESIS
from domain.tenant import Tenant
from storage.database import Reader
from storage.ledger.verification import judge_entry

CHUNK = 5000
TAIL = 100


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """The result of checking a window of entries. `broken_at` is the event of the first entry that does not match."""

    checked: int
    first: datetime | None
    last: datetime | None
    broken_at: UUID | None
    reason: str


_BOUNDS = """
SELECT (SELECT seq FROM ledger_entries WHERE org_id = $1 AND sealed_at >= $2 ORDER BY sealed_at, seq LIMIT 1) AS first,
       (SELECT seq FROM ledger_entries WHERE org_id = $1 AND sealed_at <= $3 ORDER BY sealed_at DESC, seq DESC LIMIT 1)
         AS last
"""
_ENTRIES = """
SELECT seq, event_id, leaf, previous_hash, entry_hash, sealed_at FROM ledger_entries
WHERE org_id = $1 AND seq >= $2 AND seq <= $3 ORDER BY seq LIMIT $4
"""
_BEGIN = datetime.fromisoformat("0001-01-01T00:00:00+00:00")
_END = datetime.fromisoformat("9999-12-31T00:00:00+00:00")


async def verify_chain(reader: Reader, tenant: Tenant, since: datetime | None, until: datetime | None) -> ChainVerdict:
    """Check the hash of every entry sealed between two inclusive times, and its link to the entry before it."""
    bounds = await reader.row(_BOUNDS, tenant.org_id, since or _BEGIN, until or _END)
    if bounds is None or bounds["first"] is None or bounds["last"] is None or bounds["first"] > bounds["last"]:
        return ChainVerdict(0, None, None, None, "no entries in this window")
    return await _verify(reader, tenant, bounds["first"], bounds["last"])


async def verify_tail(reader: Reader, tenant: Tenant, size: int) -> ChainVerdict:
    """Check the newest TAIL entries of a ledger of that size: cheap enough for a status page."""
    if size == 0:
        return ChainVerdict(0, None, None, None, "the ledger is empty")
    return await _verify(reader, tenant, max(1, size - TAIL + 1), size)


async def _verify(reader: Reader, tenant: Tenant, first: int, last: int) -> ChainVerdict:
    previous = GENESIS if first == 1 else await _hash_of(reader, tenant, first - 1)
    checked, seq, started, ended = 0, first, None, None
    while rows := await reader.rows(_ENTRIES, tenant.org_id, seq, last, CHUNK):
        for row in rows:
            started, ended = started or row["sealed_at"], row["sealed_at"]
            reason = judge_entry(row, previous) if row["seq"] == seq else "the entry before it is missing"
            if reason:
                return ChainVerdict(checked, started, ended, row["event_id"], f"entry {row['seq']}: {reason}")
            checked, seq, previous = checked + 1, seq + 1, row["entry_hash"]
    return ChainVerdict(checked, started, ended, None, f"{checked} entries are linked without a gap")


async def _hash_of(reader: Reader, tenant: Tenant, seq: int) -> bytes:
    found = await reader.value(
        "SELECT entry_hash FROM ledger_entries WHERE org_id = $1 AND seq = $2", tenant.org_id, seq
    )
    return found or b""
