"""Monthly partitions of the tables whose ids are UUIDv7: a month is a range of ids."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from storage.database import Reader, Transaction
from storage.ids import first_id_at

PARTITIONED = ("attempts", "audit_events", "inbox_bodies", "messages")
AHEAD = 3
"""Months after the current one whose partitions are created in advance."""
LOCK_TIMEOUT = "500ms"
"""How long changing the partitions may block everyone who uses the table."""


def months(start: datetime, count: int) -> Iterator[tuple[datetime, datetime]]:
    """Yield the start and the end (exclusive) of `count` months, beginning with the month of `start`."""
    year, month = start.year, start.month
    for _ in range(count):
        following = (year + month // 12, month % 12 + 1)
        yield datetime(year, month, 1, tzinfo=UTC), datetime(*following, 1, tzinfo=UTC)
        year, month = following


def partition_statements(table: str, start: datetime) -> list[str]:
    """Return the DDL for a table's monthly partitions from the month of `start` on, and for its default partition."""
    statements = [
        f"CREATE TABLE IF NOT EXISTS {table}_p{first:%Y%m} PARTITION OF {table} "
        f"FOR VALUES FROM ('{first_id_at(first)}') TO ('{first_id_at(after)}')"
        for first, after in months(start, AHEAD + 1)
    ]
    return [*statements, f"CREATE TABLE IF NOT EXISTS {table}_rest PARTITION OF {table} DEFAULT"]


async def ensure_partitions(tx: Transaction) -> None:
    """Create the partitions of the coming months that do not exist yet.

    Raises asyncpg.LockNotAvailableError while a long transaction uses a table; there are months of time to try again.
    """
    await tx.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    for table in PARTITIONED:
        for statement in partition_statements(table, tx.now):
            await tx.execute(statement)


@dataclass(frozen=True, slots=True)
class Partition:
    """One monthly partition; `name` is its own table. It holds the ids from `low` up to, but not including, `high`."""

    name: str
    first: datetime
    after: datetime

    @property
    def low(self) -> UUID:
        """The smallest id of the month."""
        return first_id_at(self.first)

    @property
    def high(self) -> UUID:
        """The smallest id after the month."""
        return first_id_at(self.after)


_PARTITIONS = """
SELECT p.relname AS name, to_date(right(p.relname, 6), 'YYYYMM') AS first
FROM pg_inherits i JOIN pg_class t ON t.oid = i.inhparent JOIN pg_class p ON p.oid = i.inhrelid
WHERE t.oid = $1::text::regclass AND p.relname ~ '_p[0-9]{6}$'
ORDER BY p.relname
"""


async def partitions(reader: Reader, table: str) -> list[Partition]:
    """Return the monthly partitions of a table, oldest first, without the default partition."""
    return [Partition(row["name"], *next(months(row["first"], 1))) for row in await reader.rows(_PARTITIONS, table)]


_MONTHS_AHEAD = """
SELECT t.relname AS name,
       count(p.oid) FILTER (WHERE to_date(right(p.relname, 6), 'YYYYMM') > now() AT TIME ZONE 'UTC') AS months
FROM pg_class t
LEFT JOIN pg_inherits i ON i.inhparent = t.oid
LEFT JOIN pg_class p ON p.oid = i.inhrelid AND p.relname ~ '_p[0-9]{6}$'
WHERE t.oid = ANY($1::text[]::regclass[])
GROUP BY t.relname
"""


async def months_ahead(reader: Reader) -> Mapping[str, int]:
    """Return for every partitioned table how many months after the current one have a partition."""
    return {row["name"]: row["months"] for row in await reader.rows(_MONTHS_AHEAD, list(PARTITIONED))}
