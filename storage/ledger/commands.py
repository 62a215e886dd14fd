"""Sealing: audit events move from `unsealed` into the chain and the tree, and checkpoints are signed over both."""

from datetime import datetime
from typing import Protocol
from uuid import UUID

from domain.audit import merkle
from domain.audit.ledger import GENESIS, Checkpoint, Entry, SignedCheckpoint, extend
from storage.database import Transaction, columns_of
from storage.ledger.queries import read_tiles

ORG_LOCK = "SELECT pg_advisory_xact_lock(7241003, hashtext($1::uuid::text))"
_HEAD = "SELECT seq, entry_hash, sealed_at FROM ledger_entries WHERE org_id = $1 ORDER BY seq DESC LIMIT 1"
_TAKE = """
DELETE FROM unsealed
WHERE org_id = $1 AND event_id IN (SELECT event_id FROM unsealed WHERE org_id = $1 ORDER BY event_id LIMIT $2)
RETURNING event_id, leaf
"""
_APPEND = """
WITH entries AS (
  INSERT INTO ledger_entries (org_id, seq, event_id, leaf, previous_hash, entry_hash, sealed_at)
  SELECT $1, e.seq, e.event_id, e.leaf, e.previous_hash, e.entry_hash, $2
  FROM unnest($3::bigint[], $4::uuid[], $5::bytea[], $6::bytea[], $7::bytea[])
    AS e(seq, event_id, leaf, previous_hash, entry_hash)
)
INSERT INTO ledger_tiles (org_id, level, n, hashes)
SELECT $1, t.level, t.n, t.hashes FROM unnest($8::smallint[], $9::int[], $10::bytea[]) AS t(level, n, hashes)
ON CONFLICT (org_id, level, n) DO UPDATE SET hashes = excluded.hashes
"""


class CheckpointSigner(Protocol):
    """What signs: storage.keys.Signer."""

    @property
    def key_id(self) -> str:
        """How checkpoints name the key."""

    def sign(self, data: bytes) -> bytes:
        """The signature over data."""


async def seal(tx: Transaction, org_id: UUID, limit: int) -> int:
    """Seal up to `limit` waiting events of an organisation; the answer is how many.

    One sealer at a time per organisation; a second one waits and finds less to do.
    """
    await tx.value(ORG_LOCK, org_id)
    taken = sorted((row["event_id"], row["leaf"]) for row in await tx.rows(_TAKE, org_id, limit))
    if not taken:
        return 0
    head = await tx.row(_HEAD, org_id)
    size, last_hash = (head["seq"], head["entry_hash"]) if head else (0, GENESIS)
    sealed_at: datetime = max(tx.now, head["sealed_at"]) if head else tx.now  # a clock set back must not reorder time
    entries = extend(size, last_hash, taken, sealed_at)
    tiles = await read_tiles(tx, org_id, merkle.rightmost_tiles(size))
    changed, _ = merkle.append(tiles, size, [leaf for _, leaf in taken])
    await tx.execute(
        _APPEND,
        org_id,
        sealed_at,
        *columns_of([_columns(entry) for entry in entries], 5),
        *columns_of([(level, n, hashes) for (level, n), hashes in sorted(changed.items())], 3),
    )
    return len(entries)


def _columns(entry: Entry) -> tuple[int, UUID, bytes, bytes, bytes]:
    return entry.seq, entry.event_id, entry.leaf, entry.previous_hash, entry.entry_hash


_LAST_CHECKPOINT = "SELECT size, created_at FROM checkpoints WHERE org_id = $1 ORDER BY size DESC LIMIT 1"
_KEEP_CHECKPOINT = """
INSERT INTO checkpoints (org_id, size, root, chain_hash, key_id, signature, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


async def sign_checkpoint(tx: Transaction, org_id: UUID, signer: CheckpointSigner) -> SignedCheckpoint | None:
    """Sign the ledger as it stands; None when the newest checkpoint covers it already."""
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
