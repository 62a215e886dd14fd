"""Sealing: move audit events from `unsealed` to the hash chain and the Merkle tree, and sign checkpoints over both."""

from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

from domain.audit import merkle
from domain.audit.ledger import Checkpoint, extend
from storage.batches import Batch, BatchInsert
from storage.database import Row, Transaction
from storage.ledger.heads import (
    Head,
    Known,
    check_complete,
    check_head,
    check_history,
    check_waiting,
    read_head,
    set_head,
)
from storage.ledger.marks import Mark, events_and_entries
from storage.ledger.queries import newest_checkpoint
from storage.ledger.tables import ledger_entries, ledger_tiles
from storage.rows import to_row

ORG_LOCK = "SELECT pg_advisory_xact_lock(7241003, hashtext($1::uuid::text))"
_TAKE = """
DELETE FROM unsealed
WHERE org_id = $1
  AND event_id = ANY(ARRAY(SELECT event_id FROM unsealed WHERE org_id = $1 ORDER BY event_id LIMIT $2))
RETURNING event_id, leaf, mac
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


async def seal(tx: Transaction, org_id: UUID, limit: int, mark: Mark) -> tuple[int, Head]:
    """Seal up to `limit` waiting events of an organisation; return how many, and the new head of its ledger.

    A lock admits one sealer per organisation at a time; others wait for it. Raises Inconsistent, and then nothing may
    be committed, if the ledger or a waiting event is not what Trailgate wrote.
    """
    await tx.value(ORG_LOCK, org_id)
    head, tiles = await read_head(tx, org_id)
    await check_head(tx, head, tx.authenticator)
    check_complete(Mark(mark.events, head.size), mark)  # before new events make up the number of entries
    taken = sorted((row["event_id"], row["leaf"]) for row in await _taken(tx, head, limit))
    if not taken:
        return 0, head
    # Never earlier than the last entry, even when the clock was set back.
    sealed_at = max(tx.now, head.sealed_at) if head.sealed_at else tx.now
    entries = extend(head.size, head.chain_hash, taken, sealed_at)
    changed, _ = merkle.append(tiles, head.size, [leaf for _, leaf in taken])
    shared = {"org_id": org_id, "sealed_at": sealed_at}
    await _APPEND.write(tx, shared, [to_row(entry) for entry in entries], tile_rows(changed))
    newest = entries[-1]
    root = merkle.root(newest.seq, {**tiles, **changed})
    extended = Head(org_id, newest.seq, newest.entry_hash, root, sealed_at)
    await set_head(tx, extended)
    return len(entries), extended


async def _taken(tx: Transaction, head: Head, limit: int) -> list[Row]:
    """Take waiting events. Raises Inconsistent for one without a valid code."""
    rows = await tx.rows(_TAKE, head.org_id, limit)
    check_waiting(rows, head, tx.authenticator)
    return rows


def tile_rows(tiles: Mapping[merkle.TileId, bytes]) -> list[dict[str, Any]]:
    """Return tiles as rows, in a fixed order."""
    return [{"level": level, "n": n, "hashes": hashes} for (level, n), hashes in sorted(tiles.items())]


_KEEP_CHECKPOINT = """
INSERT INTO checkpoints (org_id, size, root, chain_hash, key_id, signature, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


async def sign_checkpoint(tx: Transaction, org_id: UUID, signer: CheckpointSigner, known: Known) -> None:
    """Sign a checkpoint over the whole ledger, unless the newest one covers it.

    Raises Inconsistent if the ledger is not what Trailgate wrote, or not what this host knows it to be.
    """
    await tx.value(ORG_LOCK, org_id)
    head, _tiles = await read_head(tx, org_id)
    await check_head(tx, head, tx.authenticator)
    await check_history(tx, head, await events_and_entries(tx, org_id), known)
    last = await newest_checkpoint(tx, org_id)
    if head.size == (last.signed.checkpoint.size if last else 0):
        return
    checkpoint = Checkpoint(org_id, head.size, head.root, head.chain_hash)
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
