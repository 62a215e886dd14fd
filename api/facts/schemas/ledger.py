"""The ledger on the wire (facts.md 19): every field of the original, and what makes an answer checkable elsewhere."""

import base64
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, model_validator

from api.wire import Instant, WireIn, WireModel
from domain.audit import AuditName
from domain.ledger import signed_note
from storage.ledger.chain import ChainVerdict
from storage.ledger.queries import LedgerEntry, StoredCheckpoint
from storage.ledger.verification import Opening, Proof, RecordVerdict

HASH_ALGORITHM = "SHA-256"


class LedgerQuery(WireIn):
    """A page of entries in the order of their sequence."""

    page: Annotated[int, Field(ge=0, le=2**40)] = 0
    size: Annotated[int, Field(ge=1, le=500)] = 20


class LedgerEntryOut(WireModel):
    """A sealed event. `contentHash` is the RFC 6962 leaf over event and record; hashes are lower-case hex."""

    entry_id: UUID
    record_id: UUID
    fact_id: UUID
    event_type: str
    sequence: int
    content_hash: str
    previous_hash: str
    entry_hash: str
    hash_algorithm: str
    timestamp: Instant
    metadata: Mapping[str, Any]

    @classmethod
    def of(cls, entry: LedgerEntry) -> "LedgerEntryOut":
        """With both names of the record's id (W59)."""
        return cls(
            entry_id=entry.event_id,
            record_id=entry.record_id,
            fact_id=entry.record_id,
            event_type=AuditName(entry.name).v1,
            sequence=entry.seq,
            content_hash=entry.leaf.hex(),
            previous_hash=entry.previous_hash.hex(),
            entry_hash=entry.entry_hash.hex(),
            hash_algorithm=HASH_ALGORITHM,
            timestamp=entry.sealed_at,
            metadata={
                "recordKind": entry.record_kind,
                "recordVersion": entry.record_version,
                **(entry.payload or {}),
            },
        )


class LedgerPage(WireModel):
    """The ledger's own page object."""

    entries: list[LedgerEntryOut]
    page: int
    size: int
    total_elements: int
    total_pages: int


class CheckpointOut(WireModel):
    """A signed checkpoint. `note` is the C2SP signed note, as it is published outside; keys and roots in base64."""

    tree_size: int
    root_hash: str
    key_id: str
    public_key: str | None
    note: str
    created_at: Instant

    @classmethod
    def of(cls, stored: StoredCheckpoint) -> "CheckpointOut":
        """With the public key it names, where that is known."""
        signed = stored.signed
        return cls(
            tree_size=signed.checkpoint.size,
            root_hash=base64.b64encode(signed.checkpoint.root).decode(),
            key_id=signed.key_id,
            public_key=base64.b64encode(stored.public_key).decode() if stored.public_key else None,
            note=signed_note(signed.checkpoint, signed.key_id, signed.signature),
            created_at=stored.created_at,
        )


class ProofOut(WireModel):
    """An RFC 6962 inclusion proof: the leaf `leafIndex` leads by `path` (hex) to the checkpoint's root."""

    leaf_index: int
    leaf_hash: str
    path: list[str]
    checkpoint: CheckpointOut

    @classmethod
    def of(cls, proof: Proof, leaf_hash: bytes) -> "ProofOut":
        """For the leaf that was verified."""
        return cls(
            leaf_index=proof.leaf_index,
            leaf_hash=leaf_hash.hex(),
            path=[step.hex() for step in proof.path],
            checkpoint=CheckpointOut.of(proof.checkpoint),
        )


class OpeningOut(WireModel):
    """What the leaf hides. SHA-256(0x00 ‖ format as a byte ‖ nonce ‖ envelope in UTF-8) is the leaf hash (RFC 6962)."""

    format: int
    nonce: str
    envelope: str

    @classmethod
    def of(cls, opening: Opening) -> "OpeningOut":
        """The nonce in hex, the envelope as the JSON text that was hashed."""
        return cls(format=opening.format, nonce=opening.nonce.hex(), envelope=opening.envelope.decode())


class RecordVerificationOut(WireModel):
    """Whether a record still is what was sealed. `result` is verified, altered, missing, erased or unsealed."""

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
    def of(cls, record_id: UUID, verdict: RecordVerdict, verified_at: Instant) -> "RecordVerificationOut":
        """The newest entry of the record, where it has one."""
        entry: Mapping[str, Any] = verdict.entry or {}
        seq = entry.get("seq")
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
            verified_at=verified_at,
            message=verdict.reason,
            hash_algorithm=HASH_ALGORITHM,
            proof=ProofOut.of(verdict.proof, entry["leaf"]) if verdict.proof else None,
            opening=OpeningOut.of(verdict.opening) if verdict.opening else None,
        )


def _hex(value: bytes | None) -> str | None:
    return value.hex() if value is not None else None


class ChainIn(WireIn):
    """A window of sealing times, both ends inclusive and open where absent."""

    since: Annotated[Instant | None, Field(alias="from")] = None
    until: Annotated[Instant | None, Field(alias="to")] = None

    @model_validator(mode="after")
    def _in_order(self) -> "ChainIn":
        if self.since and self.until and self.since > self.until:
            raise ValueError("from lies after to")
        return self


class ChainVerificationOut(WireModel):
    """Whether the entries of a window chain. `brokenAt` is the entry that does not fit the one before it."""

    valid: bool
    entries_checked: int
    first_entry_timestamp: Instant | None
    last_entry_timestamp: Instant | None
    broken_at: UUID | None
    message: str

    @classmethod
    def of(cls, verdict: ChainVerdict) -> "ChainVerificationOut":
        """As found."""
        return cls(
            valid=verdict.broken_at is None,
            entries_checked=verdict.checked,
            first_entry_timestamp=verdict.first,
            last_entry_timestamp=verdict.last,
            broken_at=verdict.broken_at,
            message=verdict.reason,
        )


class LedgerStatusOut(WireModel):
    """The state of the organisation's ledger. `healthy` is the outcome of a check of its tail."""

    enabled: bool
    type: str
    total_entries: int
    unsealed: int
    healthy: bool
    message: str
    checkpoint: CheckpointOut | None
