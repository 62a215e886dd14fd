"""When something that is done rarely is due, agreed on by all workers."""

from datetime import timedelta

from storage.database import Transaction

_DUE = """
INSERT INTO schedule (name, next_run_at, last_run_at) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET next_run_at = excluded.next_run_at, last_run_at = excluded.last_run_at
WHERE schedule.next_run_at <= $3
"""


async def due(tx: Transaction, name: str, every_seconds: int) -> bool:
    """Whether it is this transaction's turn; if so the next turn comes `every_seconds` later."""
    return await tx.execute(_DUE, name, tx.now + timedelta(seconds=every_seconds), tx.now) > 0
