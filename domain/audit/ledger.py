"""The ledger's chain and its signed checkpoints: pure rules (ARCHITECTURE.md 2.6, 4.1)."""

import base64
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from domain.errors import Invalid

GENESIS = bytes(32)
"""What stands before the first entry: on the v1 wire, 64 zeros."""

KEY_NAME = "trailgate"
"""How signed notes name the signing key; part of the key's id."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """One sealed event. `seq` counts from 1 within the organisation; entry `seq` is leaf `seq - 1` of the tree."""

    seq: int
    event_id: UUID
    leaf: bytes
    previous_hash: bytes
    entry_hash: bytes
    sealed_at: datetime


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def entry_hash(previous_hash: bytes, seq: int, event_id: UUID, leaf: bytes, sealed_at: datetime) -> bytes:
    """SHA-256(previous ‖ seq as u64 ‖ event id ‖ leaf ‖ sealed_at as i64 µs), big-endian, 104 bytes in all."""
    return hashlib.sha256(
        previous_hash + struct.pack(">Q", seq) + event_id.bytes + leaf + struct.pack(">q", microseconds(sealed_at))
    ).digest()


def extend(size: int, last_hash: bytes, events: Sequence[tuple[UUID, bytes]], sealed_at: datetime) -> list[Entry]:
    """Chain (event id, leaf) pairs behind a ledger of that size and last entry hash."""
    entries = []
    for seq, (event_id, leaf) in enumerate(events, start=size + 1):
        digest = entry_hash(last_hash, seq, event_id, leaf, sealed_at)
        entries.append(Entry(seq, event_id, leaf, last_hash, digest, sealed_at))
        last_hash = digest
    return entries


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of one organisation's ledger at a size: Merkle root over all leaves and the chain's last hash."""

    org_id: UUID
    size: int
    root: bytes
    chain_hash: bytes

    @property
    def origin(self) -> str:
        """The name of the log in the signed note."""
        return f"trailgate/{self.org_id}"

    def body(self) -> bytes:
        """What is signed: a C2SP tlog-checkpoint with one extension line that pins the chain."""
        root = base64.b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\nchain {self.chain_hash.hex()}\n".encode()


def signed_note(checkpoint: Checkpoint, key_id: str, signature: bytes) -> str:
    """The checkpoint as a C2SP signed note. `key_id` is the 8 hex digits of the key's hash in that format."""
    blob = base64.b64encode(bytes.fromhex(key_id) + signature).decode()
    return f"{checkpoint.body().decode()}\n\u2014 {KEY_NAME} {blob}\n"


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint as it was published."""

    checkpoint: Checkpoint
    key_id: str
    signature: bytes


def parse_note(note: str) -> SignedCheckpoint:
    """Read what `signed_note` wrote. Raises Invalid when it is not such a note; the signature is not checked here."""
    try:
        body, _, signature_line = note.strip("\n").partition("\n\n")
        origin, size, root, chain = body.split("\n")
        org_id = UUID(origin.removeprefix("trailgate/"))
        blob = base64.b64decode(signature_line.split(" ")[2], validate=True)
        checkpoint = Checkpoint(
            org_id, int(size), base64.b64decode(root, validate=True), bytes.fromhex(chain.removeprefix("chain "))
        )
    except (ValueError, IndexError) as error:
        raise Invalid("This is not a checkpoint that Trailgate published.") from error
    return SignedCheckpoint(checkpoint, blob[:4].hex(), blob[4:])
