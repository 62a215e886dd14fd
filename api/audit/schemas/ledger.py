"""Request and response models of the ledger: OpenFactstore's fields, and what a client needs to verify an answer."""

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field, model_validator

from api.http.calls import Call
from api.http.wire import Instant, WireIn, WireModel, shows
from domain.audit.events import AuditName
from domain.audit.ledger import KEY_NAME, signed_note
from domain.audit.records import RecordForm
from domain.identity.permissions import Permission
from storage.keys import pem_of
from storage.ledger.chain import ChainVerdict
from storage.ledger.queries import MAX_SIZE, LedgerEntry, SigningKey, StoredCheckpoint
from storage.ledger.verification import InclusionProof, Opening, RecordVerdict
from storage.registry import RECORDS

HASH_ALGORITHM = "SHA-256"
_ED25519 = b"\x01"  # the algorithm byte of the C2SP signed note
_HASH = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


class LedgerQuery(WireIn):
    """A page of entries, in the order of their sequence."""

    page: Annotated[int, Field(ge=0, le=2**40)] = 0
    size: Annotated[int, Field(ge=1, le=500)] = 20


def _may_read(call: Call, form: RecordForm) -> bool:
    """Whether the caller may see the records of a form in the ledger: by the permission to read them, or the audit."""
    return call.caller.may(form.read) or call.caller.may(Permission.AUDIT_READ)


TreeSize = Annotated[
    int, Field(ge=1, le=MAX_SIZE, description="Number of entries that the checkpoint covers", examples=[1024])
]


class ProofQuery(WireIn):
    """The entry of the record to prove, and the checkpoint to prove it under."""

    sequence: Annotated[
        int | None, Field(ge=1, le=MAX_SIZE, description="Sequence of the entry; default: the record's latest entry")
    ] = None
    tree_size: TreeSize | None = None


class ConsistencyQuery(WireIn):
    """The sizes of the older and the newer checkpoint."""

    since: Annotated[TreeSize | None, Field(alias="from")] = None
    until: Annotated[TreeSize | None, Field(alias="to")] = None

    @model_validator(mode="after")
    def _in_order(self) -> "ConsistencyQuery":
        if self.since and self.until and self.since > self.until:
            raise ValueError("from is larger than to")
        return self


class CheckpointsQuery(WireIn):
    """A page of checkpoints, largest first."""

    size: Annotated[int, Field(ge=1, le=500, description="Rows in the response")] = 500
    before: Annotated[TreeSize | None, Field(description="Only checkpoints of fewer entries; see `Link`")] = None


class LedgerEntryOut(WireModel):
    """A sealed event. `contentHash` is the RFC 6962 leaf hash of event and record. All hashes are lower-case hex.

    `metadata` holds the event's payload only for callers who may read the record.
    """

    entry_id: UUID = shows("event_id")
    record_id: UUID
    fact_id: UUID = shows("record_id")
    event_type: str
    sequence: int = shows("seq")
    content_hash: str
    previous_hash: str
    entry_hash: str
    hash_algorithm: str
    timestamp: Instant = shows("sealed_at")
    metadata: Mapping[str, Any]

    @classmethod
    def of(cls, entry: LedgerEntry, call: Call) -> Self:
        """Return the entry with hex hashes; its metadata is the event's payload, if the caller may read the record."""
        source = RECORDS.get(entry.record_kind)
        shown = (entry.payload or {}) if source and _may_read(call, source.form) else {}
        metadata = {"recordKind": entry.record_kind, "recordVersion": entry.record_version, **shown}
        return cls.filled(
            entry,
            event_type=AuditName(entry.name).v1,
            content_hash=entry.leaf.hex(),
            previous_hash=entry.previous_hash.hex(),
            entry_hash=entry.entry_hash.hex(),
            hash_algorithm=HASH_ALGORITHM,
            metadata=metadata,
        )


class LedgerPage(WireModel):
    """One page of ledger entries."""

    entries: list[LedgerEntryOut]
    page: int
    size: int
    total_elements: int
    total_pages: int


class CheckpointOut(WireModel):
    """A signed checkpoint. `note` is the C2SP signed note that is published; public keys and root hashes are base64."""

    tree_size: Annotated[int, Field(examples=[1024])]
    root_hash: Annotated[str, Field(examples=["bjQLnP+zepicpUTma3gKLHiRHT+zNzh2hRGjBhevoB0="])]
    key_id: Annotated[str, Field(examples=["d81429a2"])]
    public_key: str | None
    note: str
    created_at: Instant

    @classmethod
    def of(cls, stored: StoredCheckpoint, call: Call) -> Self:
        """Return a checkpoint with the public key of its signature, if that key is trusted."""
        signed = stored.signed
        public_key = call.services.trusted_keys.get(signed.key_id)
        return cls(
            tree_size=signed.checkpoint.size,
            root_hash=base64.b64encode(signed.checkpoint.root).decode(),
            key_id=signed.key_id,
            public_key=base64.b64encode(public_key).decode() if public_key else None,
            note=signed_note(signed.checkpoint, signed.key_id, signed.signature),
            created_at=stored.created_at,
        )


class ProofOut(WireModel):
    """An RFC 6962 inclusion proof: `path` (hex) connects the leaf at `leafIndex` with the checkpoint's root."""

    leaf_index: Annotated[int, Field(description="Index from 0: the entry's sequence minus one", examples=[41])]
    leaf_hash: Annotated[str, Field(examples=[_HASH])]
    path: Annotated[list[str], Field(examples=[[_HASH]])]
    checkpoint: CheckpointOut

    @classmethod
    def proving(cls, proof: InclusionProof, leaf_hash: bytes, call: Call) -> Self:
        """Return the proof for a leaf hash."""
        return cls(
            leaf_index=proof.leaf_index,
            leaf_hash=leaf_hash.hex(),
            path=[step.hex() for step in proof.path],
            checkpoint=CheckpointOut.of(proof.checkpoint, call),
        )


class ConsistencyOut(WireModel):
    """An RFC 6962 consistency proof: `path` (hex) connects the older root with the newer. Empty for equal sizes."""

    path: Annotated[list[str], Field(examples=[[_HASH]])]
    older: CheckpointOut
    newer: CheckpointOut

    @classmethod
    def between(cls, older: StoredCheckpoint, newer: StoredCheckpoint, path: list[bytes], call: Call) -> Self:
        """Return the proof between two checkpoints."""
        ends = {"older": CheckpointOut.of(older, call), "newer": CheckpointOut.of(newer, call)}
        return cls(path=[step.hex() for step in path], **ends)


class SigningKeyOut(WireModel):
    """A public key. `verifierKey` is the key in C2SP form, for tools that check signed notes."""

    key_id: Annotated[str, Field(description="The key id in signatures", examples=["d81429a2"])]
    algorithm: Annotated[str, Field(examples=["Ed25519"])]
    public_key: Annotated[str, Field(description="32 bytes in base64")]
    public_key_pem: Annotated[str, Field(description="SPKI in PEM, for tools that verify DSSE envelopes")]
    verifier_key: Annotated[str, Field(examples=["trailgate+d81429a2+AZ3…"])]
    is_current: bool
    created_at: Instant

    @classmethod
    def of(cls, key: SigningKey, _call: Call) -> Self:
        """Return a registered key."""
        return cls(
            key_id=key.key_id,
            algorithm="Ed25519",
            public_key=base64.b64encode(key.public_key).decode(),
            public_key_pem=pem_of(key.public_key),
            verifier_key=f"{KEY_NAME}+{key.key_id}+{base64.b64encode(_ED25519 + key.public_key).decode()}",
            is_current=key.is_current,
            created_at=key.created_at,
        )


class OpeningOut(WireModel):
    """The content of a leaf, for callers who may read the record.

    The leaf is SHA-256(0x00 ‖ format as a byte ‖ nonce ‖ SHA-256(event) ‖ SHA-256(record)), texts in UTF-8 (RFC 6962).
    """

    format: int
    nonce: str
    event: str
    record: str

    @classmethod
    def of(cls, opening: Opening, _call: Call) -> Self:
        """Return the nonce in hex, and event and record as the JSON texts that were hashed."""
        texts = {"event": opening.event.decode(), "record": opening.record.decode()}
        return cls(format=opening.format, nonce=opening.nonce.hex(), **texts)


class RecordVerificationOut(WireModel):
    """Whether a record is still as it was sealed. `result` is verified, altered, missing, erased or unsealed."""

    record_id: UUID
    verified: bool
    result: str
    content_hash: str | None
    chain_position: int | None
    sequence: int | None
    previous_hash: str | None
    entry_hash: str | None
    ledger_timestamp: Instant | None
    verified_at: Instant
    message: str
    hash_algorithm: str
    proof: ProofOut | None
    opening: OpeningOut | None

    @classmethod
    def found(cls, record_id: UUID, verdict: RecordVerdict, at: datetime, call: Call) -> Self:
        """Return the result, with the record's latest entry if it has one."""
        entry: Mapping[str, Any] = verdict.entry or {}
        seq = entry.get("seq")
        opening = verdict.opening if verdict.form and _may_read(call, verdict.form) else None
        return cls(
            record_id=record_id,
            verified=verdict.outcome == "verified",
            result=verdict.outcome.value,
            content_hash=_hex(entry.get("leaf")),
            chain_position=None if seq is None else seq - 1,
            sequence=seq,
            previous_hash=_hex(entry.get("previous_hash")),
            entry_hash=_hex(entry.get("entry_hash")),
            ledger_timestamp=entry.get("sealed_at"),
            verified_at=at,
            message=verdict.reason,
            hash_algorithm=HASH_ALGORITHM,
            proof=ProofOut.proving(verdict.proof, entry["leaf"], call) if verdict.proof else None,
            opening=OpeningOut.of(opening, call) if opening else None,
        )


def _hex(value: bytes | None) -> str | None:
    return value.hex() if value is not None else None


class ChainIn(WireIn):
    """A range of sealing times. Both ends are inclusive and optional."""

    model_config = {"json_schema_extra": {"examples": [{"from": "2026-01-01T00:00:00Z"}]}}

    since: Annotated[Instant | None, Field(alias="from")] = None
    until: Annotated[Instant | None, Field(alias="to")] = None

    @model_validator(mode="after")
    def _in_order(self) -> "ChainIn":
        if self.since and self.until and self.since > self.until:
            raise ValueError("from is later than to")
        return self


class ChainVerificationOut(WireModel):
    """Whether the hash chain of a time range is intact. `brokenAt` is the first entry that breaks the chain."""

    valid: bool
    entries_checked: int
    first_entry_timestamp: Instant | None
    last_entry_timestamp: Instant | None
    broken_at: UUID | None
    message: str

    @classmethod
    def of(cls, verdict: ChainVerdict, _call: Call) -> Self:
        """Return the result of a chain verification."""
        return cls(
            valid=verdict.broken_at is None,
            entries_checked=verdict.checked,
            first_entry_timestamp=verdict.first,
            last_entry_timestamp=verdict.last,
            broken_at=verdict.broken_at,
            message=verdict.reason,
        )


class LedgerStatusOut(WireModel):
    """The state of the organisation's ledger.

    `healthy` is the result of a check of its latest entries, and of the checks without which nothing is signed:
    Trailgate wrote the head, no event is lost, and the ledger contains what was published.
    """

    enabled: bool
    type: str
    total_entries: int
    unsealed: int
    healthy: bool
    message: str
    checkpoint: CheckpointOut | None
