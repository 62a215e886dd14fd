"""Times of records that follow each other."""

from datetime import datetime, timedelta

TICK = timedelta(microseconds=1)
"""The smallest difference of two times."""


def later_than(last: datetime | None, now: datetime) -> datetime:
    """Return now, or the smallest time after the last record's: the clock was set back, or this waited for a lock."""
    return now if last is None else max(now, last + TICK)
