"""Rebuilding the tiles of a ledger's Merkle tree from its entries."""

from collections.abc import AsyncIterator
from uuid import UUID

from domain.audit import merkle
from domain.errors import Conflict
from domain.tenant import Tenant
from storage.batches import Batch, BatchInsert
from storage.database import Database, Transaction
from storage.ledger.commands import ORG_LOCK, tile_rows
from storage.ledger.tables import ledger_tiles
from storage.rebuild import Progress

CHUNK = 5000
"""Entries per transaction; the sealer may have to wait for one."""

_LEAVES = "SELECT seq, leaf FROM ledger_entries WHERE org_id = $1 AND seq > $2 ORDER BY seq LIMIT $3"

_WRITE = Batch(
    BatchInsert(
        ledger_tiles,
        ("level", "n", "hashes"),
        shared=("org_id",),
        conflict="(org_id, level, n) DO UPDATE SET hashes = excluded.hashes "
        "WHERE ledger_tiles.hashes <> excluded.hashes",
    )
)

_STRAYS = """
DELETE FROM ledger_tiles
WHERE org_id = $1 AND (level < 0 OR n < 0 OR n::bigint << 8 >= $2::bigint >> least(greatest(8 * level, 0), 63))
"""


async def rebuild_tiles(database: Database, tenant: Tenant) -> AsyncIterator[Progress]:
    """Compute the tree from the first leaf on; `seen` counts entries.

    Full tiles are final and are written chunk by chunk; the incomplete tiles are written in the transaction that finds
    no further entry. Sealing waits for one chunk at most. Raises Conflict if an entry is missing or damaged.
    """
    growing: dict[merkle.TileId, bytes] = {}
    size = mended = 0
    ended = False
    while not ended:
        async with database.transaction() as tx:
            await tx.value(ORG_LOCK, tenant.org_id)
            leaves = await _leaves(tx, tenant.org_id, size)
            ended = len(leaves) < CHUNK
            changed, size = merkle.append(growing, size, leaves)
            changed = growing | changed
            growing = {tile: changed[tile] for tile in merkle.rightmost_tiles(size)}
            final = {tile: hashes for tile, hashes in changed.items() if ended or tile not in growing}
            mended += await _WRITE.write(tx, {"org_id": tenant.org_id}, tile_rows(final))
            if ended:
                mended += await tx.execute(_STRAYS, tenant.org_id, size)
        yield Progress(size, mended)


async def _leaves(tx: Transaction, org_id: UUID, size: int) -> list[bytes]:
    """Return the next leaves after the first `size`."""
    rows = await tx.rows(_LEAVES, org_id, size, CHUNK)
    for expected, row in enumerate(rows, start=size + 1):
        if row["seq"] != expected or len(row["leaf"]) != merkle.HASH_BYTES:
            raise Conflict(
                f"Ledger entry {expected} is missing or damaged, so tiles cannot be rebuilt: run `trailgate verify`.",
                "state",
            )
    return [row["leaf"] for row in rows]
