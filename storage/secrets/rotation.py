"""Rotating the master key: the data keys of secrets are wrapped anew, the secrets stay as they are."""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from storage.batches import Rows
from storage.database import Database, Row
from storage.secrets.commands import binding
from storage.secrets.envelope import Sealed, SecretCipher, Undecipherable
from storage.secrets.tables import secrets

_BATCH = 500

_NEXT = """
SELECT id, key_id, wrapped, nonce, data FROM secrets WHERE id > $1 AND key_id = ANY($2) ORDER BY id LIMIT $3
FOR UPDATE
"""
_WRAPPED = Rows.of(secrets, "id", "key_id", "wrapped")
_WRAP = f"""
UPDATE secrets s SET key_id = w.key_id, wrapped = w.wrapped FROM {_WRAPPED.source("w", 1)} WHERE s.id = w.id
"""


async def rewrap_secrets(database: Database, cipher: SecretCipher, purposes: Sequence[str]) -> AsyncIterator[int]:
    """Wrap the data keys of all secrets with the current master key; yield how many so far. May be repeated.

    `purposes` are all that a secret may have. Secrets of a master key that is not at hand, because it was lost, stay as
    they are. Raises Undecipherable for a secret that was altered; those before it stay wrapped anew.
    """
    others = [key_id for key_id in cipher.key_ids if key_id != cipher.key_id]
    last, done, rows = UUID(int=0), 0, True
    while rows:
        async with database.transaction() as tx:
            found = await tx.rows(_NEXT, last, others, _BATCH)
            wrapped = [{"id": row["id"], **_rewrapped(cipher, row, purposes)} for row in found]
            await tx.execute(_WRAP, *_WRAPPED.arrays(wrapped))
        rows = bool(found)
        last, done = found[-1]["id"] if found else last, done + len(found)
        yield done


def _rewrapped(cipher: SecretCipher, row: Row, purposes: Sequence[str]) -> dict[str, object]:
    sealed = Sealed(row["key_id"], row["wrapped"], row["nonce"], row["data"])
    for purpose in purposes:
        try:
            again = cipher.rewrap(sealed, binding(row["id"], purpose))
        except Undecipherable:
            continue
        return {"key_id": again.key_id, "wrapped": again.wrapped}
    raise Undecipherable(f"Secret {row['id']} cannot be decrypted with its master key {row['key_id']}.")
