"""Verifying that a record is still what was sealed, by recomputing its hash from the current rows."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain.audit import merkle
from domain.audit.events import ERASURES
from domain.audit.ledger import GENESIS, entry_hash
from domain.audit.records import EVENT_COLUMNS, RecordForm, event_text, first_leaf, leaf, record_hash, record_text
from domain.tenant import Tenant
from storage.database import Reader, Row
from storage.ledger.heads import trusted
from storage.ledger.queries import StoredCheckpoint, inclusion_proof, newest_checkpoint
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
_UNPROVABLE = "was sealed by a version of Trailgate whose leaves do not prove an event once its record has changed"


@dataclass(frozen=True, slots=True)
class LiveRecord:
    """A record as it stands: the current row, and its kept versions by number. None and empty if there are none.

    The content of events of versions below `erased` may be erased.
    """

    row: Mapping[str, Any] | None
    versions: Mapping[int, Mapping[str, Any]]
    erased: int = 0


async def live_records(reader: Reader, source: RecordSource | None, ids: Sequence[UUID]) -> dict[UUID, LiveRecord]:
    """Return the current values of the sealed columns of records, by record id; every id has a value."""
    if source is None or not source.form.columns:
        return dict.fromkeys(ids, LiveRecord(None, {}))
    id_column, versions = source.form.id_column, dict[UUID, dict[int, Row]]()
    rows = await reader.rows(f"{source.select} WHERE {source.id} = ANY($1::uuid[])", ids)
    if source.versions:
        for row in await reader.rows(f"{source.versions} WHERE {source.versions_id} = ANY($1::uuid[])", ids):
            versions.setdefault(row[id_column], {})[source.version_of(row)] = row
    current = {row[id_column]: row for row in rows}
    return {one: LiveRecord(current.get(one), versions.get(one, {})) for one in ids}


_ERASED = """
SELECT record_id, max(record_version) AS version FROM audit_events
WHERE org_id = $1 AND record_id = ANY($2::uuid[]) AND name = ANY($3::text[]) AND nonce IS NOT NULL
GROUP BY record_id
"""


async def erased_versions(reader: Reader, org_id: UUID, events: Sequence[Row]) -> dict[UUID, int]:
    """Return the version of the newest erasure of each record of which one of the events has no content."""
    blank = list({event["record_id"] for event in events if event["nonce"] is None})
    if not blank:
        return {}
    rows = await reader.rows(_ERASED, org_id, blank, list(ERASURES))
    return {row["record_id"]: row["version"] for row in rows}


def judge_event(event: Mapping[str, Any], source: RecordSource | None, live: LiveRecord) -> EventVerdict:
    """Compare the leaf of an audit event with the current state of the event and its record."""
    try:
        outcome, reason = _judged(event, source, live)
    except ValueError as error:  # a value that no leaf can contain, such as an infinite time
        outcome, reason = VerificationOutcome.ALTERED, f"{event['record_kind']} {event['record_id']}: {error}"
    return EventVerdict(event["id"], outcome, reason)


def _judged(event: Row, source: RecordSource | None, live: LiveRecord) -> tuple[VerificationOutcome, str]:
    if event["nonce"] is None:
        return _judged_blank(event, live)
    form = source.form_of(event["format"]) if source else None
    if source is None or form is None:
        what = f"'{event['record_kind']}' of format {event['format']}"
        return VerificationOutcome.ALTERED, f"no record form {what}"
    if source.form.columns and live.row is None:
        return VerificationOutcome.MISSING, f"{source.table} has no row {event['record_id']}"
    if event["record_hash"] is None:
        return _judged_by_first_leaf(event, source, form, live.row or {})
    if leaf(event["format"], event["nonce"], event_text(event), event["record_hash"]) != event["leaf"]:
        return VerificationOutcome.ALTERED, f"audit_events {event['id']} differs from what was sealed"
    return _judged_by_hash(event, source, form, live)


def _judged_blank(event: Row, live: LiveRecord) -> tuple[VerificationOutcome, str]:
    """Accept an event without content if a later event records the erasure: whoever owns the database can blank any."""
    what = f"{event['record_kind']} {event['record_id']}"
    if event["record_version"] < live.erased and event["payload"] is None and event["record_hash"] is None:
        return VerificationOutcome.ERASED, f"the content of an event of {what} was erased; its leaf is still proven"
    return VerificationOutcome.ALTERED, f"{what} cannot be verified: its nonce is missing, and no erasure is recorded"


def _judged_by_hash(
    event: Row, source: RecordSource, form: RecordForm, live: LiveRecord
) -> tuple[VerificationOutcome, str]:
    """Compare H(record) of a proven event with the row, while it is of that version, and with the kept version."""
    row, version = live.row or {}, event["record_version"]
    superseded = source.version_of(row) > version
    copies = [] if superseded else [row]
    if source.versions:
        if version not in live.versions:
            return VerificationOutcome.MISSING, f"version {version} of {source.table} {event['record_id']} is gone"
        copies.append(live.versions[version])
    if any(record_hash(form, copy) != event["record_hash"] or _filled(copy, source, form) for copy in copies):
        return VerificationOutcome.ALTERED, f"{source.table} {event['record_id']} differs from what was sealed"
    return VerificationOutcome.VERIFIED, SUPERSEDED if superseded else OK


def _judged_by_first_leaf(
    event: Row, source: RecordSource, form: RecordForm, row: Row
) -> tuple[VerificationOutcome, str]:
    what = f"{source.table} {event['record_id']}"
    if source.version_of(row) > event["record_version"]:
        return VerificationOutcome.ALTERED, f"{what} {_UNPROVABLE}"
    if first_leaf(form, event["nonce"], event, row) != event["leaf"] or _filled(row, source, form):
        return VerificationOutcome.ALTERED, f"{what} or its audit event differs from what was sealed"
    return VerificationOutcome.VERIFIED, OK


def _filled(row: Row, source: RecordSource, form: RecordForm) -> bool:
    """Whether a column that a later form added has a value, which the leaf of the older form does not cover."""
    added = set(source.form.columns) - set(form.columns) - source.form.late
    return any(row[column] is not None for column in added)


def judge_entry(entry: Mapping[str, Any], previous: bytes) -> str | None:
    """Return what is wrong with the hashes of an entry, or None."""
    if entry["previous_hash"] != previous:
        return "its previous hash is not the hash of the entry before it"
    try:
        content = (entry[name] for name in ("previous_hash", "seq", "event_id", "leaf", "sealed_at"))
        expected = entry_hash(*content)
    except (ValueError, struct.error):
        return "its number or its time is not possible"
    return None if entry["entry_hash"] == expected else "its hash does not match its content"


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """Proof that the newest entry of a record is in the tree that a signed checkpoint covers."""

    leaf_index: int
    path: list[bytes]
    checkpoint: StoredCheckpoint


@dataclass(frozen=True, slots=True)
class Opening:
    """The content of a leaf: it lets anybody recompute SHA-256(0x00 ‖ format ‖ nonce ‖ H(event) ‖ H(record)).

    `event` and `record` are the canonical JSON texts that were hashed.
    """

    format: int
    nonce: bytes
    event: bytes
    record: bytes


@dataclass(frozen=True, slots=True)
class RecordVerdict:
    """The full result for one record. `entry` is its newest ledger entry, and `form` its record form, if it has one."""

    outcome: VerificationOutcome
    reason: str
    entry: Mapping[str, Any] | None = None
    proof: InclusionProof | None = None
    opening: Opening | None = None
    form: RecordForm | None = None


_EVENTS = f"""
SELECT {", ".join("e." + column for column in EVENT_COLUMNS)}, e.format, e.nonce, e.record_hash, e.leaf,
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
    reader: Reader, tenant: Tenant, record_id: UUID, sources: Mapping[str, RecordSource], keys: Mapping[str, bytes]
) -> RecordVerdict:
    """Verify every event of a record: its row, its entry, the links to both neighbours, the tree, the signature.

    `keys` are the trusted public keys by id.
    """
    events = await reader.rows(_EVENTS, tenant.org_id, record_id)
    if not events:
        return RecordVerdict(VerificationOutcome.MISSING, "there is no audit event of this record")
    source = sources.get(events[0]["record_kind"])
    live = (await live_records(reader, source, [record_id]))[record_id]
    erased = (await erased_versions(reader, tenant.org_id, events)).get(record_id, 0)
    problem = _first_problem(events, source, replace(live, erased=erased))
    sealed = [event for event in events if event["seq"] is not None]
    newest = {**sealed[-1], "leaf": sealed[-1]["entry_leaf"]} if sealed else None
    found = RecordVerdict(VerificationOutcome.UNSEALED, "not sealed yet", newest, form=source.form if source else None)
    if newest is None or (problem and problem[0] is not VerificationOutcome.ERASED):
        return replace(found, outcome=problem[0], reason=problem[1]) if problem else found
    verdict = await _proven(reader, tenant, found, keys, _opening(source, newest, live))
    if problem and verdict.outcome is VerificationOutcome.VERIFIED:
        return replace(verdict, outcome=problem[0], reason=problem[1])
    return verdict


async def _proven(
    reader: Reader, tenant: Tenant, found: RecordVerdict, keys: Mapping[str, bytes], opening: Opening | None
) -> RecordVerdict:
    entry = found.entry or {}
    checkpoint = await newest_checkpoint(reader, tenant.org_id)
    if checkpoint is None or checkpoint.signed.checkpoint.size < entry["seq"]:
        return replace(found, reason="sealed, but no signed checkpoint covers it yet")
    try:
        path = await inclusion_proof(reader, tenant.org_id, entry["seq"], checkpoint.signed.checkpoint.size)
    except ValueError as error:
        return replace(found, outcome=VerificationOutcome.ALTERED, reason=f"the tiles prove nothing: {error}")
    proof = InclusionProof(entry["seq"] - 1, path, checkpoint)
    if not _proof_holds(entry["leaf"], proof, keys):
        reason = "the inclusion proof does not lead to a checkpoint that a trusted key signed"
        return replace(found, outcome=VerificationOutcome.ALTERED, reason=reason, proof=proof)
    return replace(found, outcome=VerificationOutcome.VERIFIED, reason=OK, proof=proof, opening=opening)


def _opening(source: RecordSource | None, event: Row, live: LiveRecord) -> Opening | None:
    """Open a leaf, unless its source keeps it closed or its record has changed since."""
    form = source.form_of(event["format"]) if source and source.opens else None
    row = live.row or {}
    if (
        source is None
        or form is None
        or event["record_hash"] is None
        or source.version_of(row) > event["record_version"]
    ):
        return None
    return Opening(event["format"], event["nonce"], event_text(event), record_text(form, row))


def _first_problem(
    events: Sequence[Row], source: RecordSource | None, live: LiveRecord
) -> tuple[VerificationOutcome, str] | None:
    """Return the first problem; if there is none, that events were erased."""
    if len({event["record_kind"] for event in events}) > 1:
        return VerificationOutcome.ALTERED, "the audit events of this id are of several kinds of record"
    erased = None
    for event in events:
        verdict = judge_event(event, source, live)
        if verdict.outcome is VerificationOutcome.ERASED:
            erased = verdict.outcome, verdict.reason
        elif verdict.outcome is not VerificationOutcome.VERIFIED:
            return verdict.outcome, verdict.reason
        if event["seq"] is None:
            return VerificationOutcome.UNSEALED, "not sealed yet"
        if reason := _link_problem(event):
            return VerificationOutcome.ALTERED, f"ledger entry {event['seq']}: {reason}"
    versions = {event["record_version"] for event in events}
    if source and (versions != set(range(1, len(versions) + 1)) or source.version_of(live.row or {}) > len(versions)):
        return VerificationOutcome.ALTERED, f"{source.table}: audit events do not record every version once"
    return erased


def _link_problem(event: Row) -> str | None:
    if event["leaf"] != event["entry_leaf"]:
        return "its leaf is not that of its audit event"
    entry = {**event, "leaf": event["entry_leaf"]}
    if reason := judge_entry(entry, GENESIS if event["seq"] == 1 else event["hash_before"]):
        return reason
    if event["link_after"] is not None and event["link_after"] != event["entry_hash"]:
        return "the next entry does not contain its hash"
    return None


def _proof_holds(leaf_hash: bytes, proof: InclusionProof, keys: Mapping[str, bytes]) -> bool:
    checkpoint = proof.checkpoint.signed.checkpoint
    return trusted(proof.checkpoint.signed, keys) and merkle.verify_inclusion(
        leaf_hash, proof.leaf_index, checkpoint.size, proof.path, checkpoint.root
    )
