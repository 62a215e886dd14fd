"""Storing content: the object in the store and its row in the database."""

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
    """Store a staged file permanently: first its object, then its row. Equal content is stored once.

    A lock on the digest, taken before the object is put in place and held until the transaction ends, excludes
    `claim`: a sweep takes the digest either before the object is there or after this transaction has ended. The lock is
    shared, so concurrent uploads of the same content do not wait for each other.
    """
    await tx.execute(_SHARE, digest)
    await blobs.promote(staged, digest)
    await tx.execute(_KEEP, digest, size, BACKEND, tx.now)


async def claim(tx: Transaction, digest: str) -> bool:
    """Lock a digest for removal until the transaction ends; return False if it is being stored or has a row."""
    if not await tx.value(_CLAIM, digest):
        return False
    # A second statement, because its snapshot must be taken after the lock.
    return not await tx.value("SELECT true FROM blobs WHERE digest = $1", digest)
