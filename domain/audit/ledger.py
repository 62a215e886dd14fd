"""The ledger's hash chain and its signed checkpoints, as pure functions."""

import base64
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from domain.errors import Invalid

GENESIS = bytes(32)
"""The previous hash of the first entry; the v1 API shows it as 64 zeros."""

KEY_NAME = "trailgate"
"""The name of the signing key in signed notes; part of the key's id."""

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
    """Return the exact number of microseconds since 1970. Raises ValueError without a zone, as infinite times are."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone is not a moment")
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def entry_hash(previous_hash: bytes, seq: int, event_id: UUID, leaf: bytes, sealed_at: datetime) -> bytes:
    """Compute SHA-256(previous ‖ seq as u64 ‖ event id ‖ leaf ‖ sealed_at as i64 µs), big-endian, over 96 bytes."""
    return hashlib.sha256(
        previous_hash + struct.pack(">Q", seq) + event_id.bytes + leaf + struct.pack(">q", microseconds(sealed_at))
    ).digest()


def extend(size: int, last_hash: bytes, events: Sequence[tuple[UUID, bytes]], sealed_at: datetime) -> list[Entry]:
    """Append (event id, leaf) pairs to the chain of a ledger with this size and last entry hash."""
    entries = []
    for seq, (event_id, leaf) in enumerate(events, start=size + 1):
        digest = entry_hash(last_hash, seq, event_id, leaf, sealed_at)
        entries.append(Entry(seq, event_id, leaf, last_hash, digest, sealed_at))
        last_hash = digest
    return entries


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of one organisation's ledger at one size: the Merkle root of all leaves and the chain's last hash."""

    org_id: UUID
    size: int
    root: bytes
    chain_hash: bytes

    @property
    def origin(self) -> str:
        """The name of the log in the signed note."""
        return f"trailgate/{self.org_id}"

    def body(self) -> bytes:
        """The bytes to sign: a C2SP tlog-checkpoint with one extension line, the chain's last hash."""
        root = base64.b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\nchain {self.chain_hash.hex()}\n".encode()


def signed_note(checkpoint: Checkpoint, key_id: str, signature: bytes) -> str:
    """Write the checkpoint as a C2SP signed note. `key_id` is the key hash of that format in 8 hex digits."""
    blob = base64.b64encode(bytes.fromhex(key_id) + signature).decode()
    return f"{checkpoint.body().decode()}\n\u2014 {KEY_NAME} {blob}\n"


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A published checkpoint with its signature."""

    checkpoint: Checkpoint
    key_id: str
    signature: bytes


def parse_note(note: str) -> SignedCheckpoint:
    """Parse a note that `signed_note` wrote, without checking the signature. Raises Invalid for any other text."""
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
