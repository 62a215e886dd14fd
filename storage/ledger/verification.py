"""Verifying that a record is still what was sealed, by recomputing its hash from the current rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain.audit import merkle
from domain.audit.ledger import GENESIS, entry_hash
from domain.audit.records import EVENT_COLUMNS, envelope, leaf
from domain.tenant import Tenant
from storage.database import Reader, Row
from storage.keys import signature_holds
from storage.ledger.queries import StoredCheckpoint, inclusion_proof, latest_checkpoint
from storage.ledger.records import RecordSource


class VerificationOutcome(StrEnum):
    """The possible results of verifying a record."""

    VERIFIED = "verified"
    ALTERED = "altered"
    MISSING = "missing"
    ERASED = "erased"
    UNSEALED = "unsealed"


@dataclass(frozen=True, slots=True)
class EventVerdict:
    """The result for one sealed event, with the reason."""

    event_id: UUID
    outcome: VerificationOutcome
    reason: str


OK = "the record is what was sealed"
SUPERSEDED = "sealed; a newer version of the record exists"


async def live_rows(reader: Reader, source: RecordSource, record_ids: Sequence[UUID]) -> dict[UUID, Row]:
    """Return the current values of the sealed columns of records, by record id."""
    rows = await reader.rows(f"{source.select} WHERE {source.id} = ANY($1::uuid[])", record_ids)
    return {row[source.form.id_column]: row for row in rows}


def judge_event(event: Mapping[str, Any], source: RecordSource | None, live: Mapping[str, Any] | None) -> EventVerdict:
    """Compare the leaf of an audit event with the current state of the event and its record."""

    def verdict(outcome: VerificationOutcome, reason: str) -> EventVerdict:
        return EventVerdict(event["id"], outcome, reason)

    if event["nonce"] is None:
        # Reported as a finding: no event records erasures yet, and anyone with database access could clear a nonce.
        return verdict(
            VerificationOutcome.ERASED,
            f"{event['record_kind']} {event['record_id']} cannot be verified: its nonce is missing",
        )
    form = source.form_of(event["format"]) if source else None
    if source is None or form is None:
        return verdict(
            VerificationOutcome.ALTERED, f"no record form '{event['record_kind']}' of format {event['format']}"
        )
    if source.form.columns and live is None:
        return verdict(VerificationOutcome.MISSING, f"{source.table} has no row {event['record_id']}")
    row = live or {}
    if source.version_of(row) > event["record_version"]:
        return verdict(VerificationOutcome.VERIFIED, SUPERSEDED)
    # Columns that a later form added must still be empty: the old leaf does not cover a value put there later.
    added = [row[column] for column in source.form.columns if column not in form.columns]
    if leaf(form, event["nonce"], event, row) != event["leaf"] or any(value is not None for value in added):
        return verdict(
            VerificationOutcome.ALTERED,
            f"{source.table} {event['record_id']} or its audit event differs from what was sealed",
        )
    return verdict(VerificationOutcome.VERIFIED, OK)


def judge_entry(entry: Mapping[str, Any], previous: bytes) -> str | None:
    """Return what is wrong with the hashes of an entry, or None."""
    if entry["previous_hash"] != previous:
        return "its previous hash is not the hash of the entry before it"
    expected = entry_hash(entry["previous_hash"], entry["seq"], entry["event_id"], entry["leaf"], entry["sealed_at"])
    return None if entry["entry_hash"] == expected else "its hash does not match its content"


def checkpoint_holds(stored: StoredCheckpoint) -> bool:
    """Whether the signature of a checkpoint is valid for the key that it names."""
    body = stored.signed.checkpoint.body()
    return stored.public_key is not None and signature_holds(stored.public_key, stored.signed.signature, body)


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """Proof that the newest entry of a record is in the tree that a signed checkpoint covers."""

    leaf_index: int
    path: list[bytes]
    checkpoint: StoredCheckpoint


@dataclass(frozen=True, slots=True)
class Opening:
    """The content of a leaf: it lets anybody recompute SHA-256(0x00 ‖ format ‖ nonce ‖ envelope)."""

    format: int
    nonce: bytes
    envelope: bytes


@dataclass(frozen=True, slots=True)
class RecordVerdict:
    """The full result for one record. `entry` is its newest ledger entry, if it has one."""

    outcome: VerificationOutcome
    reason: str
    entry: Mapping[str, Any] | None = None
    proof: InclusionProof | None = None
    opening: Opening | None = None


_EVENTS = f"""
SELECT {", ".join("e." + column for column in EVENT_COLUMNS)}, e.format, e.nonce, e.leaf,
       l.seq, l.event_id, l.leaf AS entry_leaf, l.previous_hash, l.entry_hash, l.sealed_at,
       p.entry_hash AS hash_before, n.previous_hash AS link_after
FROM audit_events e
LEFT JOIN ledger_entries l ON l.event_id = e.id
LEFT JOIN ledger_entries p ON p.org_id = l.org_id AND p.seq = l.seq - 1
LEFT JOIN ledger_entries n ON n.org_id = l.org_id AND n.seq = l.seq + 1
WHERE e.org_id = $1 AND e.record_id = $2
ORDER BY e.record_version, e.occurred_at, e.id
"""


async def verify_record(
    reader: Reader, tenant: Tenant, record_id: UUID, sources: Mapping[str, RecordSource]
) -> RecordVerdict:
    """Verify every event of a record: its row, its entry, the links to both neighbours, the tree, the signature."""
    events = await reader.rows(_EVENTS, tenant.org_id, record_id)
    if not events:
        return RecordVerdict(VerificationOutcome.MISSING, "there is no audit event of this record")
    source, live = sources.get(events[0]["record_kind"]), None
    if source and source.form.columns:
        live = (await live_rows(reader, source, [record_id])).get(record_id)
    problem = _first_problem(events, source, live)
    sealed = [event for event in events if event["seq"] is not None]
    newest = {**sealed[-1], "leaf": sealed[-1]["entry_leaf"]} if sealed else None
    if problem or newest is None:
        return RecordVerdict(*(problem or (VerificationOutcome.UNSEALED, "not sealed yet")), newest)
    checkpoint = await latest_checkpoint(reader, tenant)
    if checkpoint is None or checkpoint.signed.checkpoint.size < newest["seq"]:
        return RecordVerdict(VerificationOutcome.UNSEALED, "sealed, but no signed checkpoint covers it yet", newest)
    path = await inclusion_proof(reader, tenant.org_id, newest["seq"], checkpoint.signed.checkpoint.size)
    proof = InclusionProof(newest["seq"] - 1, path, checkpoint)
    if not _proof_holds(newest["leaf"], proof):
        return RecordVerdict(
            VerificationOutcome.ALTERED, "the inclusion proof does not lead to the signed checkpoint", newest, proof
        )
    return RecordVerdict(VerificationOutcome.VERIFIED, OK, newest, proof, _opening(source, newest, live))


def _opening(source: RecordSource | None, event: Row, live: Row | None) -> Opening | None:
    if source is None or not source.opens:
        return None
    form = source.form_of(event["format"]) or source.form
    return Opening(event["format"], event["nonce"], envelope(form, event, live or {}))


def _first_problem(
    events: Sequence[Row], source: RecordSource | None, live: Row | None
) -> tuple[VerificationOutcome, str] | None:
    for event in events:
        verdict = judge_event(event, source, live)
        if verdict.outcome is not VerificationOutcome.VERIFIED:
            return verdict.outcome, verdict.reason
        if event["seq"] is None:
            return VerificationOutcome.UNSEALED, "not sealed yet"
        if reason := _link_problem(event):
            return VerificationOutcome.ALTERED, f"ledger entry {event['seq']}: {reason}"
    if source and live and source.version_of(live) > events[-1]["record_version"]:
        return VerificationOutcome.ALTERED, f"{source.table}: the row has a version that no audit event records"
    return None


def _link_problem(event: Row) -> str | None:
    if event["leaf"] != event["entry_leaf"]:
        return "its leaf is not that of its audit event"
    entry = {**event, "leaf": event["entry_leaf"]}
    if reason := judge_entry(entry, GENESIS if event["seq"] == 1 else event["hash_before"]):
        return reason
    if event["link_after"] is not None and event["link_after"] != event["entry_hash"]:
        return "the next entry does not contain its hash"
    return None


def _proof_holds(leaf_hash: bytes, proof: InclusionProof) -> bool:
    checkpoint = proof.checkpoint.signed.checkpoint
    return checkpoint_holds(proof.checkpoint) and merkle.verify_inclusion(
        leaf_hash, proof.leaf_index, checkpoint.size, proof.path, checkpoint.root
    )
