"""aiohttp verifies and enqueues with pgqueuer; its queue manager's jobs write with a pool of asyncpg connections.

`python -m tests.bench.peers.pgqueuer_stack prepare DATABASE REDIS | serve PORT DATABASE REDIS |
fill COUNT DATABASE REDIS | work DATABASE REDIS`
"""

import asyncpg
from pgqueuer.core.qm import QueueManager
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from tests.bench.bare_handler import POOL, build, listen
from tests.bench.deliveries import SECRET, workflow_run
from tests.bench.peers.rows import INSERT_FACT, INSERT_RECEIVED, SCHEMA, digest, main, read
from tests.bench.peers.settings import FILL_BATCH, PGQUEUER_BATCH, PGQUEUER_CONNECTIONS

ENTRYPOINT = "record"


async def prepare(database: str, _redis: str) -> None:
    """Make the tables, with the vacuum settings that pgqueuer recommends."""
    connection = await asyncpg.connect(database)
    await connection.execute(SCHEMA)
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    await queries.optimize_autovacuum()
    await connection.close()


async def serve(port: str, database: str, _redis: str) -> None:
    """Serve until killed."""
    async with asyncpg.create_pool(database, min_size=POOL, max_size=POOL) as pool:
        queries = Queries(AsyncpgPoolDriver(pool))

        async def keep(delivery_id: str, body: bytes) -> None:
            await queries.enqueue(ENTRYPOINT, body, headers={"delivery": delivery_id})

        await listen(build(SECRET.encode(), keep), int(port))


async def fill(count: str, database: str, _redis: str) -> None:
    """Enqueue workflow runs."""
    connection = await asyncpg.connect(database)
    queries = Queries(AsyncpgDriver(connection))
    for first in range(0, int(count), FILL_BATCH):
        numbers = range(first, min(first + FILL_BATCH, int(count)))
        await queries.enqueue(
            [ENTRYPOINT] * len(numbers),
            [workflow_run(n) for n in numbers],
            [0] * len(numbers),
            headers=[{"delivery": f"backlog-{n:08d}"} for n in numbers],
        )
    await connection.close()


async def work(database: str, _redis: str) -> None:
    """Work until killed."""
    connection = await asyncpg.connect(database)
    async with asyncpg.create_pool(database, min_size=PGQUEUER_CONNECTIONS, max_size=PGQUEUER_CONNECTIONS) as rows:
        manager = QueueManager(Queries(AsyncpgDriver(connection)))

        @manager.entrypoint(ENTRYPOINT)
        async def record(job: Job) -> None:
            delivery_id, body = job.headers["delivery"], job.payload
            fact = read(delivery_id, body)
            async with rows.acquire() as row, row.transaction():
                await row.execute(INSERT_RECEIVED, delivery_id, digest(body))
                await row.execute(INSERT_FACT, *fact)

        await manager.run(batch_size=PGQUEUER_BATCH)


if __name__ == "__main__":
    main({"prepare": prepare, "serve": serve, "fill": fill, "work": work})
