"""Storing secrets."""

from uuid import UUID

from domain.tenant import Tenant
from storage.database import Transaction
from storage.secrets.envelope import SecretCipher

_KEEP = """
INSERT INTO secrets (id, org_id, key_id, wrapped, nonce, data, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


def binding(secret_id: UUID, purpose: str) -> bytes:
    """Return the associated data of a secret: a ciphertext moved to another row or purpose cannot be decrypted."""
    return f"secrets/{secret_id}/{purpose}".encode()


async def keep_secret(tx: Transaction, tenant: Tenant, envelope: SecretCipher, plain: str, purpose: str) -> UUID:
    """Encrypt and store a text; return the id by which the using record refers to it."""
    secret_id = tx.new_id()
    sealed = envelope.seal(plain.encode(), binding(secret_id, purpose))
    await tx.execute(_KEEP, secret_id, tenant.org_id, sealed.key_id, sealed.wrapped, sealed.nonce, sealed.data, tx.now)
    return secret_id
