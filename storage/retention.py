"""Retention: remove old delivery bodies, messages, attempts and in-app notifications.

Whole months are dropped as partitions; rows of the default partition are deleted one batch at a time. Rows that a
pending delivery still needs stay. Facts and audit events are not affected.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import structlog

from storage.database import Database, Reader, Transaction
from storage.ids import first_id_at
from storage.partitions import LOCK_TIMEOUT, Partition, partitions

log = structlog.get_logger()

BATCH = 1000
"""Rows deleted in one transaction."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A partitioned table with a retention time. `needed` is SQL that selects the ids to keep for longer."""

    table: str
    needed: str


BODIES = Kept("inbox_bodies", "SELECT d.body_id AS id FROM inbox i JOIN deliveries d ON d.id = i.delivery_id")
MESSAGES = Kept("messages", "SELECT message_id AS id FROM outbox")
ATTEMPTS = Kept(
    "attempts", "SELECT a.id FROM outbox o JOIN attempts a ON a.org_id = o.org_id AND a.message_id = o.message_id"
)


async def remove_older(database: Database, kept: Kept, age: timedelta) -> None:
    """Remove rows older than `age`. A month that is locked, or has rows still needed, stays until the next run."""
    before = database.clock.now() - age
    async with database.read() as reader:
        old = [month for month in await partitions(reader, kept.table) if month.after <= before]
    for month in old:
        await _drop(database, kept, month)
    while await _delete_rest(database, kept, before) == BATCH:
        pass


async def _drop(database: Database, kept: Kept, month: Partition) -> None:
    async with database.read() as reader:
        if await _is_needed(reader, kept, month):
            return
    try:
        async with database.transaction() as tx:
            await tx.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            # Lock the parent table first, in the order of all others; then no further row can become needed.
            await tx.execute(f"LOCK TABLE ONLY {kept.table} IN ACCESS EXCLUSIVE MODE")
            if not await _is_needed(tx, kept, month):
                await tx.execute(f"DROP TABLE IF EXISTS {month.name}")
                log.info("retention.dropped", table=month.name)
    except asyncpg.LockNotAvailableError:
        log.info("retention.busy", table=month.name)


async def _is_needed(reader: Reader, kept: Kept, month: Partition) -> bool:
    sql = f"SELECT EXISTS (SELECT FROM ({kept.needed}) n WHERE n.id >= $1 AND n.id < $2)"
    return bool(await reader.value(sql, month.low, month.high))


async def _delete_rest(database: Database, kept: Kept, before: datetime) -> int:
    async with database.transaction() as tx:
        return await tx.execute(
            f"DELETE FROM {kept.table}_rest WHERE id = ANY(ARRAY("
            f"SELECT r.id FROM {kept.table}_rest r WHERE r.id < $1 "
            f"AND NOT EXISTS (SELECT FROM ({kept.needed}) n WHERE n.id = r.id) "
            "ORDER BY r.id LIMIT $2 FOR UPDATE SKIP LOCKED))",
            first_id_at(before),
            BATCH,
        )


_STREAMS = """
SELECT s.org_id FROM notification_streams s JOIN notifications n ON n.org_id = s.org_id AND n.n = s.first_n
WHERE n.created_at < $1 ORDER BY s.org_id
"""


async def remove_notifications(database: Database, age: timedelta) -> None:
    """Remove in-app notifications older than `age`, with their read marks."""
    before = database.clock.now() - age
    async with database.read() as reader:
        organisations = [row["org_id"] for row in await reader.rows(_STREAMS, before)]
    for org_id in organisations:
        removed = BATCH
        while removed == BATCH:
            async with database.transaction() as tx:
                removed = await _advance(tx, org_id, before)


_HOLD_STREAM = """
SELECT first_n, least(first_n + $2, last_n + 1) AS bound FROM notification_streams WHERE org_id = $1 FOR UPDATE
"""
_FIRST_KEPT = """
SELECT coalesce(min(n), $3) FROM notifications WHERE org_id = $1 AND n >= $2 AND n < $3 AND created_at >= $4
"""
_MOVE = "UPDATE notification_streams SET first_n = $2 WHERE org_id = $1"
_REMOVE = "DELETE FROM notifications WHERE org_id = $1 AND n < $2"
_REMOVE_MARKS = "DELETE FROM notification_reads WHERE org_id = $1 AND n < $2"


async def _advance(tx: Transaction, org_id: UUID, before: datetime) -> int:
    """Move the start of a stream to the first notification to keep; return how many were removed."""
    stream = await tx.row(_HOLD_STREAM, org_id, BATCH)
    if stream is None:
        return 0
    first: int = await tx.value(_FIRST_KEPT, org_id, stream["first_n"], stream["bound"], before)
    if first > stream["first_n"]:
        for statement in (_MOVE, _REMOVE, _REMOVE_MARKS):
            await tx.execute(statement, org_id, first)
    return first - int(stream["first_n"])
