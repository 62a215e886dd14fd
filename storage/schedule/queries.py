"""The lag of the sweeps."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from storage.database import Reader
from storage.schedule.sweeps import INTERVALS, RECORDED_EVERY, Sweep

NEVER = timedelta(days=1)
"""The lag of a sweep that has never succeeded."""


async def sweep_lags(reader: Reader, now: datetime) -> Mapping[str, timedelta]:
    """Return the lag of every sweep by name: how long it is overdue since its last success; zero when on time."""
    rows = await reader.rows("SELECT name, last_run_at FROM schedule WHERE last_run_at IS NOT NULL")
    last = {row["name"]: row["last_run_at"] for row in rows}
    return {sweep.value: _lag(sweep, last.get(sweep.value), now) for sweep in Sweep}


def _lag(sweep: Sweep, last: datetime | None, now: datetime) -> timedelta:
    interval = max(INTERVALS[sweep], RECORDED_EVERY)
    return max(now - last - interval, timedelta()) if last else NEVER
