"""Depth and lag of the queues, each read with one bounded index scan."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from storage.counters import SUPPRESSED
from storage.database import Reader, Row
from storage.fairness import soonest_of_each
from storage.ledger.queries import unsigned_ledgers
from storage.outbox.claims import WAITING

COUNT_LIMIT = 10_000
MAX_WAITING = 1000
"""Organisations or destinations examined to find the oldest waiting work."""


def _soonest(table: str, order: str) -> str:
    return f"""(
  WITH RECURSIVE waiting AS ({soonest_of_each(table, "org_id", order)})
  SELECT {order} FROM (SELECT * FROM waiting LIMIT {MAX_WAITING}) w ORDER BY {order} LIMIT 1
)"""


_QUEUES = f"""
SELECT (SELECT count(*) FROM (SELECT FROM inbox LIMIT {COUNT_LIMIT}) q) AS inbox,
       {_soonest("inbox", "due_at")} AS inbox_oldest,
       (SELECT count(*) FROM (SELECT FROM deliveries WHERE status = 'FAILED' LIMIT {COUNT_LIMIT}) q) AS dead,
       (SELECT count(*) FROM (SELECT FROM unsealed LIMIT {COUNT_LIMIT}) q) AS unsealed,
       {_soonest("unsealed", "event_id")} AS unsealed_oldest
"""

_ENVIRONMENTS = """
SELECT least(
  (SELECT min(due_at) FROM environments WHERE due_at <= $1 AND archived_at IS NULL),
  (SELECT min(recheck_at) FROM environments WHERE recheck_at <= $1 AND archived_at IS NULL)
) AS oldest
"""

_OUTBOX = f"""
{WAITING}
SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT {COUNT_LIMIT}) q) AS waiting,
       (SELECT min(w.due_at) FROM (SELECT * FROM waiting LIMIT {MAX_WAITING}) w
        JOIN destinations d ON d.id = w.destination_id
        WHERE d.failing_since IS NULL AND d.disabled_at IS NULL AND (d.paused_until IS NULL OR d.paused_until <= $1)
       ) AS oldest,
       (SELECT count(*) FROM (SELECT FROM messages WHERE status = 'FAILED' LIMIT {COUNT_LIMIT}) q) AS dead,
       (SELECT coalesce(sum(n), 0)::bigint
        FROM (SELECT n FROM counters WHERE kind = '{SUPPRESSED}' LIMIT {COUNT_LIMIT}) q) AS suppressed
"""
"""The lag leaves out destinations that fail or are paused or disabled: it measures the relay, not them."""

_DESTINATIONS = f"""
SELECT count(*) FILTER (WHERE disabled_at IS NULL AND failing_since IS NOT NULL) AS failing,
       count(*) FILTER (WHERE disabled_at IS NULL AND paused_until > $1) AS paused,
       count(*) FILTER (WHERE disabled_at IS NOT NULL) AS disabled
FROM (
  SELECT * FROM destinations d
  WHERE (failing_since IS NOT NULL OR paused_until IS NOT NULL OR disabled_at IS NOT NULL)
    AND EXISTS (SELECT FROM notification_rules r
                WHERE r.org_id = d.org_id AND r.destination_id = d.id
                  AND r.is_active AND r.archived_at IS NULL)
  LIMIT {COUNT_LIMIT}
) troubled
"""
"""Counts only destinations that an active rule uses."""


@dataclass(frozen=True, slots=True)
class Gauges:
    """Depths and lags of the queues. Depths are counted up to COUNT_LIMIT; a lag is zero when nothing waits.

    `checkpoint_lag` is the age of the oldest ledger entry that no checkpoint covers. `outbox_lag` covers healthy
    destinations only; `destinations` counts the failing, paused and disabled ones. `suppressed_messages` counts since
    the installation began. `environments_lag` is how long an environment has been due to be checked.
    """

    inbox: int
    inbox_lag: timedelta
    dead: int
    unsealed: int
    seal_lag: timedelta
    checkpoint_lag: timedelta
    outbox: int
    outbox_lag: timedelta
    dead_messages: int
    suppressed_messages: int
    environments_lag: timedelta
    destinations: Mapping[str, int]


async def read_gauges(reader: Reader, now: datetime) -> Gauges:
    """Read all gauges, in five statements over small tables or by index."""
    unsigned = await unsigned_ledgers(reader)
    queues = await _row(reader, _QUEUES)
    outbox = await _row(reader, _OUTBOX, now)
    return Gauges(
        inbox=queues["inbox"],
        inbox_lag=_lag(queues["inbox_oldest"], now),
        dead=queues["dead"],
        unsealed=queues["unsealed"],
        seal_lag=_lag(_made_at(queues["unsealed_oldest"]), now),
        checkpoint_lag=_lag(min((one.since for one in unsigned), default=None), now),
        outbox=outbox["waiting"],
        outbox_lag=_lag(outbox["oldest"], now),
        dead_messages=outbox["dead"],
        suppressed_messages=outbox["suppressed"],
        environments_lag=_lag((await _row(reader, _ENVIRONMENTS, now))["oldest"], now),
        destinations=dict(await _row(reader, _DESTINATIONS, now)),
    )


async def _row(reader: Reader, sql: str, *args: object) -> Row:
    row = await reader.row(sql, *args)
    if row is None:
        raise RuntimeError("an aggregate query returned no row")
    return row


def _made_at(event_id: UUID | None) -> datetime | None:
    """Return the creation time of a UUIDv7, to the millisecond."""
    return datetime.fromtimestamp((event_id.int >> 80) / 1000, UTC) if event_id else None


def _lag(since: datetime | None, now: datetime) -> timedelta:
    return max(now - since, timedelta()) if since else timedelta()
