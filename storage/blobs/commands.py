"""Keeping content: the object and its row."""

from pathlib import Path

from storage.blobs.store import Keeper
from storage.database import Transaction

BACKEND = "local"

_LOCK = 7241006
_SHARE = f"SELECT pg_advisory_xact_lock_shared({_LOCK}, hashtext($1))"
_CLAIM = f"SELECT pg_try_advisory_xact_lock({_LOCK}, hashtext($1))"

_KEEP = """
INSERT INTO blobs (digest, size, backend, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (digest) DO NOTHING
"""


async def keep(tx: Transaction, blobs: Keeper, staged: Path, digest: str, size: int) -> None:
    """Keep a staged file for good: its object first, then its row. The same content twice is stored once.

    From before the object stands in its place until the transaction ends a lock on the digest keeps `claim` away:
    whoever sweeps comes before the object is put there, or sees the row. Uploads of one content share the lock.
    """
    await tx.execute(_SHARE, digest)
    await blobs.promote(staged, digest)
    await tx.execute(_KEEP, digest, size, BACKEND, tx.now)


async def claim(tx: Transaction, digest: str) -> bool:
    """Hold a digest for removal until the transaction ends; False where it is being kept, or has been."""
    if not await tx.value(_CLAIM, digest):
        return False
    # A statement of its own: its snapshot must be younger than the lock.
    return not await tx.value("SELECT true FROM blobs WHERE digest = $1", digest)
