"""The baseline of reports: one small row for each, inserted over as many connections, each a commit of its own.

`python -m tests.bench.bare_reporter DATABASE_URL COUNT CONNECTIONS` fills the table `reports`, on cue.
"""

import asyncio
import sys
from collections.abc import Iterator
from hashlib import sha256

import asyncpg
import uvloop

from tests.bench.cue import on_cue

SCHEMA = "CREATE TABLE reports (id bigint PRIMARY KEY, place int NOT NULL, content bytea NOT NULL, at timestamptz)"
_INSERT = "INSERT INTO reports (id, place, content, at) VALUES ($1, $2, $3, now())"


async def main(url: str, count: int, connections: int) -> None:
    """Insert when told to, over connections that are open by then."""
    opened = [await asyncpg.connect(url) for _ in range(connections)]
    numbers = iter(range(count))
    await on_cue(lambda: asyncio.gather(*(_insert_in_turn(connection, numbers) for connection in opened)))
    for connection in opened:
        await connection.close()


async def _insert_in_turn(connection: asyncpg.Connection, numbers: Iterator[int]) -> None:
    content = sha256(b"what runs").digest()
    for number in numbers:
        await connection.execute(_INSERT, number, number % 1000, content)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
