"""aiohttp verifies and defers a procrastinate job; its worker writes with a pool of asyncpg connections.

`python -m tests.bench.peers.procrastinate_stack prepare DATABASE REDIS | serve PORT DATABASE REDIS |
fill COUNT DATABASE REDIS | work DATABASE REDIS`
"""

from base64 import b64decode, b64encode

import asyncpg
import orjson
from procrastinate import App, PsycopgConnector
from procrastinate.tasks import Task

from tests.bench.bare_handler import POOL, build, listen
from tests.bench.deliveries import SECRET, workflow_run
from tests.bench.peers.rows import INSERT_FACT, INSERT_RECEIVED, SCHEMA, digest, main, read
from tests.bench.peers.settings import FILL_BATCH, PROCRASTINATE_CONCURRENCY


def open_app(database: str, size: int, rows: asyncpg.Pool | None = None) -> tuple[App, Task]:
    """The application with its job, which writes with `rows`."""
    connector = PsycopgConnector(
        conninfo=database,
        min_size=size,
        max_size=size,
        json_dumps=orjson.dumps,
        json_loads=orjson.loads,
    )
    app = App(connector=connector)

    @app.task(name="record")
    async def record(delivery_id: str, body_base64: str) -> None:
        body = b64decode(body_base64)
        assert rows is not None, "only a worker runs jobs"
        fact = read(delivery_id, body)
        async with rows.acquire() as connection, connection.transaction():
            await connection.execute(INSERT_RECEIVED, delivery_id, digest(body))
            await connection.execute(INSERT_FACT, *fact)

    return app, record


async def prepare(database: str, _redis: str) -> None:
    """Make the tables."""
    connection = await asyncpg.connect(database)
    await connection.execute(SCHEMA)
    await connection.close()
    app, _ = open_app(database, 1)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


async def serve(port: str, database: str, _redis: str) -> None:
    """Serve until killed."""
    app, record = open_app(database, POOL)
    async with app.open_async():

        async def keep(delivery_id: str, body: bytes) -> None:
            await record.defer_async(**_arguments(delivery_id, body))

        await listen(build(SECRET.encode(), keep), int(port))


async def fill(count: str, database: str, _redis: str) -> None:
    """Defer workflow runs."""
    app, record = open_app(database, 1)
    async with app.open_async():
        for first in range(0, int(count), FILL_BATCH):
            numbers = range(first, min(first + FILL_BATCH, int(count)))
            await record.batch_defer_async(*(_arguments(f"backlog-{n:08d}", workflow_run(n)) for n in numbers))


def _arguments(delivery_id: str, body: bytes) -> dict[str, str]:
    return {"delivery_id": delivery_id, "body_base64": b64encode(body).decode()}


async def work(database: str, _redis: str) -> None:
    """Work until killed."""
    async with asyncpg.create_pool(
        database, min_size=PROCRASTINATE_CONCURRENCY, max_size=PROCRASTINATE_CONCURRENCY
    ) as rows:
        app, _ = open_app(database, PROCRASTINATE_CONCURRENCY, rows)
        async with app.open_async():
            await app.run_worker_async(
                concurrency=PROCRASTINATE_CONCURRENCY, delete_jobs="successful", install_signal_handlers=False
            )


if __name__ == "__main__":
    main({"prepare": prepare, "serve": serve, "fill": fill, "work": work})
