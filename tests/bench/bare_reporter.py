"""The baselines of reports: bare INSERTs over as many connections, each a commit of its own.

`python -m tests.bench.bare_reporter DATABASE_URL COUNT CONNECTIONS ARTIFACTS` fills the table `reports`, on cue, with a
small row for each report, and the table `artifacts` with so many rows for each: what a server stores that keeps reports
as they come.
"""

import asyncio
import sys
from collections.abc import Iterator
from hashlib import sha256

import asyncpg
import uvloop

from tests.bench.cue import on_cue

SCHEMA = """
CREATE TABLE reports (id bigint PRIMARY KEY, place int NOT NULL, content bytea NOT NULL, at timestamptz);
CREATE TABLE artifacts (report_id bigint NOT NULL, name text NOT NULL, digest text NOT NULL, count int NOT NULL);
CREATE INDEX ON artifacts (report_id)
"""
_INSERT = "INSERT INTO reports (id, place, content, at) VALUES ($1, $2, $3, now())"
_INSERT_ALL = f"""
WITH report AS ({_INSERT} RETURNING id)
INSERT INTO artifacts SELECT report.id, name, digest, 1 FROM report, unnest($4::text[], $5::text[]) AS one(name, digest)
"""


async def main(url: str, count: int, connections: int, artifacts: int) -> None:
    """Insert when told to, over connections that are open by then."""
    opened = [await asyncpg.connect(url) for _ in range(connections)]
    numbers = iter(range(count))
    await on_cue(lambda: asyncio.gather(*(_insert_in_turn(one, numbers, artifacts) for one in opened)))
    for connection in opened:
        await connection.close()


async def _insert_in_turn(connection: asyncpg.Connection, numbers: Iterator[int], artifacts: int) -> None:
    content = sha256(b"what runs").digest()
    names = [f"registry.example.com/team/service-{place}" for place in range(artifacts)]
    digests = [f"sha256:{sha256(name.encode()).hexdigest()}" for name in names]
    for number in numbers:
        if artifacts:
            await connection.execute(_INSERT_ALL, number, number % 1000, content, names, digests)
        else:
            await connection.execute(_INSERT, number, number % 1000, content)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], *map(int, sys.argv[2:])))
