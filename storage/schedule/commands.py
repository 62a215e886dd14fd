"""The schedule that all workers share: when each sweep is due, and when it last succeeded."""

from datetime import timedelta

from storage.database import Transaction
from storage.schedule.sweeps import EVERY_ROUND, RECORDED_EVERY

_DUE = """
INSERT INTO schedule (name, next_run_at)
SELECT $1, $2 WHERE NOT EXISTS (SELECT FROM schedule WHERE name = $1 AND next_run_at > $3)
ON CONFLICT (name) DO UPDATE SET next_run_at = excluded.next_run_at WHERE schedule.next_run_at <= $3
"""
"""NOT EXISTS spares workers that come too early the lock on the row; the last WHERE picks one of concurrent workers."""


async def due(tx: Transaction, name: str, seconds: int) -> bool:
    """Claim a run if it is due: return True, and make the next one due in `seconds` unless `done` sets another time."""
    return await tx.execute(_DUE, name, tx.now + timedelta(seconds=seconds), tx.now) > 0


_DONE = """
INSERT INTO schedule (name, next_run_at, last_run_at)
SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM schedule WHERE name = $1 AND last_run_at > $4)
ON CONFLICT (name) DO UPDATE SET next_run_at = excluded.next_run_at, last_run_at = excluded.last_run_at
"""


async def done(tx: Transaction, name: str, interval: timedelta) -> None:
    """Record a successful run and make the next one due after `interval`.

    A sweep that runs in every round is recorded once per RECORDED_EVERY, so that most rounds write nothing.
    """
    unless_since = RECORDED_EVERY if interval == EVERY_ROUND else EVERY_ROUND
    await tx.execute(_DONE, name, tx.now + interval, tx.now, tx.now - unless_since)
