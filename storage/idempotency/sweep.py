"""Deleting stored responses older than 24 hours."""

from storage.database import Transaction
from storage.idempotency.commands import LIFETIME
from storage.services import Services

BATCH = 1000

_FORGET = """
DELETE FROM idempotency_keys
WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM idempotency_keys WHERE created_at <= $1 ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
))
"""


async def forget_answers(services: Services) -> None:
    """Delete expired responses, one batch per transaction, until less than a batch is left."""
    while True:
        async with services.database.transaction() as tx:
            if await forget(tx, BATCH) < BATCH:
                return


async def forget(tx: Transaction, limit: int) -> int:
    """Delete up to `limit` expired responses, oldest first, and return how many."""
    return await tx.execute(_FORGET, tx.now - LIFETIME, limit)
