"""The baseline of the drain: claims of 200 by UPDATE … RETURNING, one INSERT for each, one commit for the batch.

`python -m tests.bench.bare_loop DATABASE_URL` empties the table `queue` and prints the seconds it took.
"""

import sys
import time
from collections.abc import Iterable

import asyncpg
import uvloop

BATCH = 200
SCHEMA = (
    "CREATE TABLE queue (id bigint PRIMARY KEY, body bytea NOT NULL, claimed_at timestamptz)",
    "CREATE INDEX ON queue (id) WHERE claimed_at IS NULL",
    "CREATE TABLE facts (queue_id bigint PRIMARY KEY, size int NOT NULL, status text NOT NULL, at timestamptz)",
)
_CLAIM = f"""
UPDATE queue SET claimed_at = now()
WHERE id IN (SELECT id FROM queue WHERE claimed_at IS NULL ORDER BY id LIMIT {BATCH} FOR UPDATE SKIP LOCKED)
RETURNING id, body
"""
_RECORD = "INSERT INTO facts (queue_id, size, status, at) VALUES ($1, $2, 'PASSED', now())"


async def drain(url: str) -> float:
    """Seconds from the first claim to the last commit."""
    connection = await asyncpg.connect(url)
    try:
        started = time.perf_counter()
        while await _batch(connection):
            pass
        return time.perf_counter() - started
    finally:
        await connection.close()


async def _batch(connection: asyncpg.Connection) -> int:
    async with connection.transaction():
        claimed = await connection.fetch(_CLAIM)
        for row in claimed:
            await connection.execute(_RECORD, row["id"], len(row["body"]))
        return len(claimed)


async def fill(url: str, bodies: Iterable[bytes]) -> None:
    """Make the tables with a backlog."""
    connection = await asyncpg.connect(url)
    try:
        for statement in SCHEMA:
            await connection.execute(statement)
        await connection.copy_records_to_table("queue", records=enumerate(bodies), columns=["id", "body"])
    finally:
        await connection.close()


if __name__ == "__main__":
    print(uvloop.run(drain(sys.argv[1])))  # noqa: T201 - the bench reads it
