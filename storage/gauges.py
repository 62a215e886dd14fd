"""The state of the queues as numbers, each from one bounded index scan."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from storage.database import Reader

COUNT_LIMIT = 10_000

_GAUGES = f"""
SELECT (SELECT count(*) FROM (SELECT FROM inbox LIMIT {COUNT_LIMIT}) q) AS inbox,
       (SELECT min(due_at) FROM inbox) AS inbox_oldest,
       (SELECT count(*) FROM (SELECT FROM deliveries WHERE status = 'FAILED' LIMIT {COUNT_LIMIT}) q) AS dead,
       (SELECT count(*) FROM (SELECT FROM unsealed LIMIT {COUNT_LIMIT}) q) AS unsealed,
       (SELECT event_id FROM unsealed ORDER BY event_id LIMIT 1) AS unsealed_oldest
"""  # noqa: S608 - a number of our own


@dataclass(frozen=True, slots=True)
class Gauges:
    """Depths are counted up to COUNT_LIMIT; lags are zero when nothing waits."""

    inbox: int
    inbox_lag: timedelta
    dead: int
    unsealed: int
    seal_lag: timedelta


async def read_gauges(reader: Reader, now: datetime) -> Gauges:
    """One statement over small tables."""
    row = await reader.row(_GAUGES)
    if row is None:
        raise RuntimeError("a query without FROM answered no row")
    return Gauges(
        inbox=row["inbox"],
        inbox_lag=_lag(row["inbox_oldest"], now),
        dead=row["dead"],
        unsealed=row["unsealed"],
        seal_lag=_lag(_made_at(row["unsealed_oldest"]), now),
    )


def _made_at(event_id: UUID | None) -> datetime | None:
    """When a UUIDv7 was made, to the millisecond."""
    return datetime.fromtimestamp((event_id.int >> 80) / 1000, UTC) if event_id else None


def _lag(since: datetime | None, now: datetime) -> timedelta:
    return max(now - since, timedelta()) if since else timedelta()
