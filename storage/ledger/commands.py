"""Sealing: move audit events from `unsealed` to the hash chain and the Merkle tree, and sign checkpoints over both."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from domain.audit import merkle
from domain.audit.ledger import GENESIS, Checkpoint, SignedCheckpoint, extend
from storage.batches import Batch, BatchInsert
from storage.database import Transaction
from storage.ledger.queries import read_tiles
from storage.ledger.tables import ledger_entries, ledger_tiles
from storage.rows import to_row

ORG_LOCK = "SELECT pg_advisory_xact_lock(7241003, hashtext($1::uuid::text))"
_HEAD = "SELECT seq, entry_hash, sealed_at FROM ledger_entries WHERE org_id = $1 ORDER BY seq DESC LIMIT 1"
_TAKE = """
DELETE FROM unsealed
WHERE org_id = $1
  AND event_id = ANY(ARRAY(SELECT event_id FROM unsealed WHERE org_id = $1 ORDER BY event_id LIMIT $2))
RETURNING event_id, leaf
"""
_APPEND = Batch(
    BatchInsert(
        ledger_entries,
        ("seq", "event_id", "leaf", "previous_hash", "entry_hash"),
        shared=("org_id", "sealed_at"),
    ),
    BatchInsert(
        ledger_tiles,
        ("level", "n", "hashes"),
        shared=("org_id",),
        conflict="(org_id, level, n) DO UPDATE SET hashes = excluded.hashes",
    ),
)


class CheckpointSigner(Protocol):
    """Signs checkpoints; implemented by storage.keys.Signer."""

    @property
    def key_id(self) -> str:
        """The id of the key in checkpoints."""

    def sign(self, data: bytes) -> bytes:
        """Return the signature over data."""


async def seal(tx: Transaction, org_id: UUID, limit: int) -> int:
    """Seal up to `limit` waiting events of an organisation; return how many.

    A lock admits one sealer per organisation at a time; others wait for it.
    """
    await tx.value(ORG_LOCK, org_id)
    taken = sorted((row["event_id"], row["leaf"]) for row in await tx.rows(_TAKE, org_id, limit))
    if not taken:
        return 0
    head = await tx.row(_HEAD, org_id)
    size, last_hash = (head["seq"], head["entry_hash"]) if head else (0, GENESIS)
    # Never earlier than the last entry, even when the clock was set back.
    sealed_at: datetime = max(tx.now, head["sealed_at"]) if head else tx.now
    entries = extend(size, last_hash, taken, sealed_at)
    tiles = await read_tiles(tx, org_id, merkle.rightmost_tiles(size))
    changed, _ = merkle.append(tiles, size, [leaf for _, leaf in taken])
    shared = {"org_id": org_id, "sealed_at": sealed_at}
    await _APPEND.write(tx, shared, [to_row(entry) for entry in entries], tile_rows(changed))
    return len(entries)


def tile_rows(tiles: Mapping[merkle.TileId, bytes]) -> list[dict[str, Any]]:
    """Return tiles as rows, in a fixed order."""
    return [{"level": level, "n": n, "hashes": hashes} for (level, n), hashes in sorted(tiles.items())]


_LAST_CHECKPOINT = "SELECT size, created_at FROM checkpoints WHERE org_id = $1 ORDER BY size DESC LIMIT 1"
_KEEP_CHECKPOINT = """
INSERT INTO checkpoints (org_id, size, root, chain_hash, key_id, signature, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


async def sign_checkpoint(tx: Transaction, org_id: UUID, signer: CheckpointSigner) -> SignedCheckpoint | None:
    """Sign a checkpoint over the whole ledger; None when the newest checkpoint already covers it."""
    await tx.value(ORG_LOCK, org_id)
    head = await tx.row(_HEAD, org_id)
    last = await tx.row(_LAST_CHECKPOINT, org_id)
    if head is None or (last and last["size"] == head["seq"]):
        return None
    tiles = await read_tiles(tx, org_id, merkle.rightmost_tiles(head["seq"]))
    checkpoint = Checkpoint(org_id, head["seq"], merkle.root(head["seq"], tiles), head["entry_hash"])
    signature = signer.sign(checkpoint.body())
    await tx.execute(
        _KEEP_CHECKPOINT,
        org_id,
        checkpoint.size,
        checkpoint.root,
        checkpoint.chain_hash,
        signer.key_id,
        signature,
        tx.now,
    )
    return SignedCheckpoint(checkpoint, signer.key_id, signature)
