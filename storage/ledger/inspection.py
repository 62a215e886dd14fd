"""Verifying every entry, record, tile and checkpoint of an organisation, and published checkpoints if given."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from domain.audit import merkle
from domain.audit.ledger import GENESIS, Checkpoint, SignedCheckpoint
from domain.audit.merkle import HASH_BYTES
from domain.audit.records import EVENT_COLUMNS
from domain.facts.records import WEBHOOK_CONFIG
from domain.identity.records import API_KEY, SESSION, WORKLOAD_IDENTITY
from storage.authenticator import Authenticator
from storage.database import Reader, Row
from storage.ledger.heads import Known, is_authentic, problem_of, trusted, waiting_rows
from storage.ledger.queries import checkpoints_after
from storage.ledger.records import RecordSource
from storage.ledger.verification import (
    VerificationOutcome,
    erased_versions,
    judge_entry,
    judge_event,
    live_records,
)

CHUNK = 2000


@dataclass(frozen=True, slots=True)
class LedgerFinding:
    """One discrepancy with what was sealed. `where` names the table and the row."""

    outcome: VerificationOutcome
    where: str
    reason: str


@dataclass(slots=True)
class Inspection:
    """The progress and findings of the inspection of one organisation.

    `erased` counts the events whose content was erased, which another event records: they are no findings.
    """

    org_id: UUID
    entries: int = 0
    checkpoints: int = 0
    outside: int = 0
    waiting: int = 0
    erased: int = 0
    findings: list[LedgerFinding] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def found(self, outcome: VerificationOutcome, where: str, reason: str) -> None:
        """Record a finding."""
        self.findings.append(LedgerFinding(outcome, where, reason))


_ENTRIES = f"""
SELECT l.seq, l.event_id, l.leaf AS entry_leaf, l.previous_hash, l.entry_hash, l.sealed_at,
       {", ".join("e." + column for column in EVENT_COLUMNS)}, e.format, e.nonce, e.record_hash, e.leaf
FROM ledger_entries l LEFT JOIN audit_events e ON e.id = l.event_id
WHERE l.org_id = $1 AND l.seq > $2 ORDER BY l.seq LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class Outside:
    """What an inspection compares the database with. Read it before the snapshot of the inspection begins.

    `published` are published checkpoints, of any organisation. Without an `authenticator`, on a host that does not have
    the master key, codes are not checked.
    """

    known: Known
    published: Sequence[SignedCheckpoint] = ()
    authenticator: Authenticator | None = None


async def inspect(
    reader: Reader, org_id: UUID, sources: Mapping[str, RecordSource], outside: Outside
) -> AsyncIterator[Inspection]:
    """Check the whole ledger in chunks; yield the growing result after each, so that callers can show progress."""
    state = Inspection(org_id)
    tree = _Tree()
    previous = GENESIS
    while rows := await reader.rows(_ENTRIES, org_id, state.entries, CHUNK):
        for row in rows:
            previous = _inspect_entry(state, row, previous)
            state.entries = row["seq"]
        await _inspect_records(reader, state, rows, sources)
        tree.grow(rows)
        yield state
    await _inspect_checkpoints(reader, state, tree, outside.known.keys)
    _inspect_published(state, tree, outside)
    await _inspect_tiles(reader, state, tree)
    await _inspect_head(reader, state, outside)
    await _inspect_waiting(reader, state, outside.authenticator)
    await inspect_strays(reader, state, sources)
    yield state


class _Tree:
    """The Merkle tree and the chain of the entries, so that it can return the root and the last hash at any size."""

    def __init__(self) -> None:
        self.tiles: dict[merkle.TileId, bytes] = {}
        self.size = 0
        self._hashes = bytearray()

    def grow(self, entries: Sequence[Row]) -> None:
        changed, self.size = merkle.append(self.tiles, self.size, [entry["entry_leaf"] for entry in entries])
        self.tiles.update(changed)
        self._hashes += b"".join(entry["entry_hash"] for entry in entries)

    def contains(self, checkpoint: Checkpoint) -> bool:
        """Whether the ledger had this root and this last hash at that size."""
        size = checkpoint.size
        if not 0 < size <= self.size:
            return False
        last = bytes(self._hashes[(size - 1) * HASH_BYTES : size * HASH_BYTES])
        return merkle.root(size, self.tiles) == checkpoint.root and last == checkpoint.chain_hash


def _inspect_entry(state: Inspection, row: Row, previous: bytes) -> bytes:
    where = f"ledger_entries {row['seq']}"
    if row["seq"] != state.entries + 1:
        state.found(
            VerificationOutcome.MISSING, where, f"the entries between {state.entries} and {row['seq']} are missing"
        )
    if reason := judge_entry({**row, "leaf": row["entry_leaf"]}, previous):
        state.found(VerificationOutcome.ALTERED, where, reason)
    if row["id"] is None:
        state.found(
            VerificationOutcome.MISSING,
            f"audit_events {row['event_id']}",
            f"entry {row['seq']} seals an event that is missing",
        )
    elif row["leaf"] != row["entry_leaf"]:
        state.found(
            VerificationOutcome.ALTERED,
            f"audit_events {row['id']}",
            f"its leaf is not the one that entry {row['seq']} sealed",
        )
    entry_hash: bytes = row["entry_hash"]
    return entry_hash


async def _inspect_records(
    reader: Reader, state: Inspection, rows: Sequence[Row], sources: Mapping[str, RecordSource]
) -> None:
    by_kind: dict[str, list[Row]] = {}
    for row in rows:
        if row["id"] is not None:
            by_kind.setdefault(row["record_kind"], []).append(row)
    for kind, events in by_kind.items():
        source = sources.get(kind)
        ids = list({event["record_id"] for event in events})
        live = await live_records(reader, source, ids)
        for record_id, version in (await erased_versions(reader, state.org_id, events)).items():
            live[record_id] = replace(live[record_id], erased=version)
        for event in events:
            verdict = judge_event(event, source, live[event["record_id"]])
            if verdict.outcome is VerificationOutcome.ERASED:
                state.erased += 1
            elif verdict.outcome is not VerificationOutcome.VERIFIED:
                table = source.table if source else kind
                state.found(verdict.outcome, f"{table} {event['record_id']}", f"{verdict.reason} (event {event['id']})")


async def _inspect_checkpoints(reader: Reader, state: Inspection, tree: _Tree, keys: Mapping[str, bytes]) -> None:
    size = 0
    while stored := await checkpoints_after(reader, state.org_id, size, CHUNK):
        for one in stored:
            size = one.signed.checkpoint.size
            state.checkpoints += 1
            _inspect_checkpoint(state, tree, one.signed, keys, f"checkpoints {size}")


def _inspect_published(state: Inspection, tree: _Tree, outside: Outside) -> None:
    for signed in outside.published:
        if signed.checkpoint.org_id == state.org_id:
            state.outside += 1
            where = f"published checkpoint {signed.checkpoint.size}"
            _inspect_checkpoint(state, tree, signed, outside.known.keys, where)


def _inspect_checkpoint(
    state: Inspection, tree: _Tree, signed: SignedCheckpoint, keys: Mapping[str, bytes], where: str
) -> None:
    if keys and signed.key_id not in keys:
        state.found(VerificationOutcome.ALTERED, where, f"its key {signed.key_id} is not trusted here")
    elif keys and not trusted(signed, keys):
        state.found(VerificationOutcome.ALTERED, where, "its signature does not hold")
    elif not tree.contains(signed.checkpoint):
        state.found(VerificationOutcome.ALTERED, where, "the ledger was rewritten: its entries do not lead there")


async def _inspect_tiles(reader: Reader, state: Inspection, tree: _Tree) -> None:
    rows = await reader.rows("SELECT level, n, hashes FROM ledger_tiles WHERE org_id = $1", state.org_id)
    stored = {(row["level"], row["n"]): row["hashes"] for row in rows}
    for level, n in sorted(stored.keys() | tree.tiles.keys()):
        if stored.get((level, n)) != tree.tiles.get((level, n)):
            state.found(
                VerificationOutcome.ALTERED,
                f"ledger_tiles {level}/{n}",
                "differs from the entries; repair it with `trailgate rebuild tiles`",
            )


async def _inspect_head(reader: Reader, state: Inspection, outside: Outside) -> None:
    if problem := await problem_of(reader, state.org_id, outside.authenticator, outside.known):
        state.found(VerificationOutcome.ALTERED, "ledger head", problem)


async def _inspect_waiting(reader: Reader, state: Inspection, authenticator: Authenticator | None) -> None:
    last = UUID(int=0)
    while rows := await waiting_rows(reader, state.org_id, last, CHUNK):
        last = rows[-1]["event_id"]
        state.waiting += len(rows)
        for row in rows:
            where = f"unsealed {row['event_id']}"
            if authenticator and not is_authentic(row, state.org_id, authenticator):
                state.found(VerificationOutcome.ALTERED, where, "Trailgate did not write this waiting event")
            if row["sealed"]:
                state.found(VerificationOutcome.ALTERED, where, "waits for the ledger, which has it already")


_UNSEALABLE = """
SELECT e.id FROM audit_events e
WHERE e.org_id = $1 AND NOT EXISTS (SELECT FROM ledger_entries l WHERE l.event_id = e.id)
  AND NOT EXISTS (SELECT FROM unsealed u WHERE u.org_id = $1 AND u.event_id = e.id)
LIMIT 100
"""
_INCOMPLETE = """
SELECT record_kind, record_id FROM audit_events WHERE org_id = $1
GROUP BY record_kind, record_id
HAVING min(record_version) <> 1 OR max(record_version) <> count(DISTINCT record_version)
LIMIT 100
"""

_UNKNOWN_CREDENTIALS = f"""
SELECT DISTINCT e.credential_id FROM audit_events e
WHERE e.org_id = $1 AND e.credential_id IS NOT NULL AND NOT EXISTS (
  SELECT FROM audit_events k
  WHERE k.record_id = e.credential_id
    AND k.record_kind IN ('{API_KEY.kind}', '{SESSION.kind}', '{WORKLOAD_IDENTITY.kind}', '{WEBHOOK_CONFIG.kind}'))
LIMIT 100
"""
"""A key that was slipped into the database, used and removed leaves only the events of what it did."""


async def inspect_strays(reader: Reader, state: Inspection, sources: Mapping[str, RecordSource]) -> None:
    """Find events that were never sealed, and versions and rows without an event, which somebody else inserted."""
    for row in await reader.rows(_UNSEALABLE, state.org_id):
        where = f"audit_events {row['id']}"
        state.found(VerificationOutcome.UNSEALED, where, "is neither in the ledger nor waiting for it")
    for row in await reader.rows(_UNKNOWN_CREDENTIALS, state.org_id):
        where = f"credential {row['credential_id']}"
        state.found(VerificationOutcome.ALTERED, where, "was used, but no audit event records that it was created")
    for row in await reader.rows(_INCOMPLETE, state.org_id):
        where = f"{row['record_kind']} {row['record_id']}"
        state.found(VerificationOutcome.MISSING, where, "audit events do not record every version from 1 on")
    for source in sources.values():
        for rows in (source.select, source.versions):
            for row in await _without_event(reader, state.org_id, source, rows) if rows else ():
                where = f"{source.table} {row['record_id']}"
                state.found(VerificationOutcome.ALTERED, where, "no audit event records this row or version")


async def _without_event(reader: Reader, org_id: UUID, source: RecordSource, select: str) -> list[Row]:
    """Return rows without an event of their kind, version and organisation; for shared records, of any organisation."""
    form = source.form
    version = f"r.{form.version_column}" if form.version_column else "1"
    owned = f"r.{source.org} = $1" if source.org else "$1::uuid IS NOT NULL"
    same = f"e.org_id = r.{source.org}" if source.org else "true"
    return await reader.rows(
        f"SELECT r.{form.id_column} AS record_id FROM ({select}) r WHERE {owned} AND NOT EXISTS ("
        f"SELECT FROM audit_events e WHERE e.record_id = r.{form.id_column} AND e.record_version = {version} "
        f"AND e.record_kind = '{form.kind}' AND {same}) LIMIT 100",
        org_id,
    )
