"""Tokens of CI jobs that can be used once."""

from datetime import timedelta
from hashlib import sha256

from domain.errors import Conflict
from domain.identity.workloads import Workload
from domain.tenant import Tenant
from storage.database import Transaction

KEPT = timedelta(hours=24)
"""How long a used token is remembered after it has expired."""

_USE = "INSERT INTO used_tokens (org_id, sha256, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"


async def use_token(tx: Transaction, tenant: Tenant, job: Workload) -> None:
    """Use the token of a job, so that it cannot be used again. Raises Conflict for a used one."""
    digest = sha256(f"{job.issuer}\0{job.token_id}".encode()).digest()
    if not await tx.execute(_USE, tenant.org_id, digest, job.expires_at):
        raise Conflict("This token was used already: its provenance is recorded once.")


_FORGET = """
DELETE FROM used_tokens
WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM used_tokens WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
))
"""


async def forget_tokens(tx: Transaction, limit: int) -> int:
    """Delete up to `limit` tokens that need not be remembered any more; return how many."""
    return await tx.execute(_FORGET, tx.now - KEPT, limit)
