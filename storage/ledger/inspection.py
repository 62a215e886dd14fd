"""Verifying every entry, record, tile and checkpoint of an organisation, and published checkpoints if given."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from domain.audit import merkle
from domain.audit.ledger import GENESIS, SignedCheckpoint
from domain.audit.records import EVENT_COLUMNS
from storage.database import Reader, Row
from storage.keys import signature_holds
from storage.ledger.queries import StoredCheckpoint, checkpoints_after
from storage.ledger.records import RecordSource
from storage.ledger.verification import VerificationOutcome, checkpoint_holds, judge_entry, judge_event, live_rows

CHUNK = 2000


@dataclass(frozen=True, slots=True)
class LedgerFinding:
    """One discrepancy with what was sealed. `where` names the table and the row."""

    outcome: VerificationOutcome
    where: str
    reason: str


@dataclass(slots=True)
class Inspection:
    """The progress and findings of the inspection of one organisation."""

    org_id: UUID
    entries: int = 0
    checkpoints: int = 0
    outside: int = 0
    waiting: int = 0
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
       {", ".join("e." + column for column in EVENT_COLUMNS)}, e.format, e.nonce, e.leaf
FROM ledger_entries l LEFT JOIN audit_events e ON e.id = l.event_id
WHERE l.org_id = $1 AND l.seq > $2 ORDER BY l.seq LIMIT $3
"""


async def inspect(
    reader: Reader, org_id: UUID, sources: Mapping[str, RecordSource], outside: Sequence[SignedCheckpoint] = ()
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
        tree.grow([row["entry_leaf"] for row in rows])
        yield state
    await _inspect_checkpoints(reader, state, tree)
    _inspect_outside(state, tree, outside, await _public_keys(reader))
    await _inspect_tiles(reader, state, tree)
    await _inspect_strays(reader, state, sources)
    yield state


class _Tree:
    """The Merkle tree computed from the entries, with all tiles, so that it can return the root at any size."""

    def __init__(self) -> None:
        self.tiles: dict[merkle.TileId, bytes] = {}
        self.size = 0

    def grow(self, leaves: Sequence[bytes]) -> None:
        changed, self.size = merkle.append(self.tiles, self.size, leaves)
        self.tiles.update(changed)

    def root(self, size: int) -> bytes | None:
        """Return the root at a size; None if the tree is smaller."""
        return merkle.root(size, self.tiles) if size <= self.size else None


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
        live = await live_rows(reader, source, ids) if source and source.form.columns else {}
        for event in events:
            verdict = judge_event(event, source, live.get(event["record_id"]))
            if verdict.outcome is not VerificationOutcome.VERIFIED:
                table = source.table if source else kind
                state.found(verdict.outcome, f"{table} {event['record_id']}", f"{verdict.reason} (event {event['id']})")


async def _inspect_checkpoints(reader: Reader, state: Inspection, tree: _Tree) -> None:
    size = 0
    while stored := await checkpoints_after(reader, state.org_id, size, CHUNK):
        for checkpoint in stored:
            size = checkpoint.signed.checkpoint.size
            state.checkpoints += 1
            _inspect_checkpoint(state, tree, checkpoint)


def _inspect_checkpoint(state: Inspection, tree: _Tree, stored: StoredCheckpoint) -> None:
    checkpoint = stored.signed.checkpoint
    where = f"checkpoints {checkpoint.size}"
    if not checkpoint_holds(stored):
        state.found(
            VerificationOutcome.ALTERED, where, "its signature is invalid, or names a key that is not known here"
        )
    elif tree.root(checkpoint.size) != checkpoint.root:
        state.found(VerificationOutcome.ALTERED, where, "its root is not that of the entries")


async def _public_keys(reader: Reader) -> dict[str, bytes]:
    rows = await reader.rows("SELECT key_id, public_key FROM signing_keys")
    return {row["key_id"]: row["public_key"] for row in rows}


def _inspect_outside(
    state: Inspection, tree: _Tree, outside: Iterable[SignedCheckpoint], keys: Mapping[str, bytes]
) -> None:
    for signed in outside:
        checkpoint = signed.checkpoint
        if checkpoint.org_id != state.org_id:
            continue
        state.outside += 1
        where = f"published checkpoint {checkpoint.size}"
        key = keys.get(signed.key_id)
        if key is None or not signature_holds(key, signed.signature, checkpoint.body()):
            state.found(
                VerificationOutcome.ALTERED,
                where,
                f"its signature is invalid, or its key {signed.key_id} is not known here",
            )
        elif tree.root(checkpoint.size) != checkpoint.root:
            state.found(
                VerificationOutcome.ALTERED, where, "the ledger was rewritten: it does not contain what was published"
            )


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


_UNSEALABLE = """
SELECT e.id FROM audit_events e
WHERE e.org_id = $1 AND NOT EXISTS (SELECT FROM ledger_entries l WHERE l.event_id = e.id)
  AND NOT EXISTS (SELECT FROM unsealed u WHERE u.org_id = $1 AND u.event_id = e.id)
LIMIT 100
"""


async def _inspect_strays(reader: Reader, state: Inspection, sources: Mapping[str, RecordSource]) -> None:
    """Find rows without an audit event (inserted facts, invented versions) and events that were never sealed."""
    state.waiting = await reader.value("SELECT count(*) FROM unsealed WHERE org_id = $1", state.org_id)
    for row in await reader.rows(_UNSEALABLE, state.org_id):
        state.found(
            VerificationOutcome.UNSEALED, f"audit_events {row['id']}", "is neither in the ledger nor waiting for it"
        )
    for source in sources.values():
        for row in await _without_event(reader, state.org_id, source):
            state.found(
                VerificationOutcome.ALTERED,
                f"{source.table} {row['record_id']}",
                "no audit event records this row or version",
            )


async def _without_event(reader: Reader, org_id: UUID, source: RecordSource) -> list[Any]:
    if not source.form.columns or "org_id" not in source.form.columns:
        return []
    version = f"r.{source.form.version_column}" if source.form.version_column else "1"
    return await reader.rows(
        f"SELECT r.{source.form.id_column} AS record_id FROM ({source.select}) r WHERE r.org_id = $1 AND NOT EXISTS ("
        f"SELECT FROM audit_events e WHERE e.record_id = r.{source.form.id_column} AND e.record_version = {version}) "
        "LIMIT 100",
        org_id,
    )
