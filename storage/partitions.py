"""Monthly partitions of the tables whose ids are UUIDv7: a month is a range of ids."""

from collections.abc import Iterator
from datetime import UTC, datetime

from storage.database import Transaction
from storage.ids import first_id_at

PARTITIONED = ("attempts", "audit_events", "inbox_bodies", "messages")
AHEAD = 3
"""Months prepared beyond the current one."""


def months(start: datetime, count: int) -> Iterator[tuple[datetime, datetime]]:
    """First and following first of `count` months from the one of `start`."""
    year, month = start.year, start.month
    for _ in range(count):
        following = (year + month // 12, month % 12 + 1)
        yield datetime(year, month, 1, tzinfo=UTC), datetime(*following, 1, tzinfo=UTC)
        year, month = following


def partition_statements(table: str, start: datetime) -> list[str]:
    """DDL that makes the partitions of a table from the month of `start` on, and the one for all the rest."""
    statements = [
        f"CREATE TABLE IF NOT EXISTS {table}_p{first:%Y%m} PARTITION OF {table} "
        f"FOR VALUES FROM ('{first_id_at(first)}') TO ('{first_id_at(after)}')"
        for first, after in months(start, AHEAD + 1)
    ]
    return [*statements, f"CREATE TABLE IF NOT EXISTS {table}_rest PARTITION OF {table} DEFAULT"]


async def ensure_partitions(tx: Transaction) -> None:
    """Make the partitions of the coming months; nothing happens to those that exist."""
    for table in PARTITIONED:
        for statement in partition_statements(table, tx.now):
            await tx.execute(statement)
