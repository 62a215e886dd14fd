"""When something that is done rarely is due, agreed on by all workers, and when it was done last."""

from datetime import timedelta

from storage.database import Transaction
from storage.schedule.sweeps import EVERY_ROUND, RECORDED_EVERY

_DUE = """
INSERT INTO schedule (name, next_run_at)
SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM schedule WHERE name = $1 AND next_run_at > $3)
ON CONFLICT (name) DO UPDATE SET next_run_at = excluded.next_run_at WHERE schedule.next_run_at <= $3
"""
"""The first look keeps those from the row whose turn it is not; the second decides between those who came at once."""


async def due(tx: Transaction, name: str, seconds: int) -> bool:
    """Whether it is this transaction's turn; if so the next comes `seconds` later, unless `done` says when."""
    return await tx.execute(_DUE, name, tx.now + timedelta(seconds=seconds), tx.now) > 0


_DONE = """
INSERT INTO schedule (name, next_run_at, last_run_at)
SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM schedule WHERE name = $1 AND last_run_at > $4)
ON CONFLICT (name) DO UPDATE SET next_run_at = excluded.next_run_at, last_run_at = excluded.last_run_at
"""


async def done(tx: Transaction, name: str, interval: timedelta) -> None:
    """Record a success, after which the next turn comes in `interval`.

    What is done in every round is recorded once in RECORDED_EVERY: a round without work writes nothing.
    """
    unless_since = RECORDED_EVERY if interval == EVERY_ROUND else EVERY_ROUND
    await tx.execute(_DONE, name, tx.now + interval, tx.now, tx.now - unless_since)
