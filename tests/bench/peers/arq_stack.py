"""aiohttp verifies and enqueues with arq; an arq worker writes with SQLAlchemy's ORM.

`python -m tests.bench.peers.arq_stack prepare DATABASE REDIS | serve PORT DATABASE REDIS | fill COUNT DATABASE REDIS |
work DATABASE REDIS`
"""

import asyncio
from datetime import datetime
from typing import Any

import asyncpg
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.worker import Worker
from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, LargeBinary, Text, func
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from tests.bench.bare_handler import build, listen
from tests.bench.deliveries import SECRET, workflow_run
from tests.bench.peers.rows import SCHEMA, digest, main, read
from tests.bench.peers.settings import ARQ_MAX_JOBS, ARQ_POLL_DELAY, ARQ_READ_LIMIT, FILL_BATCH


class Base(DeclarativeBase):
    """The models."""


class Received(Base):
    """A delivery."""

    __tablename__ = "received"
    delivery_id: Mapped[str] = mapped_column(Text, primary_key=True)
    body_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class FactRow(Base):
    """What it says."""

    __tablename__ = "facts"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    delivery_id: Mapped[str] = mapped_column(ForeignKey(Received.delivery_id))
    repository: Mapped[str] = mapped_column(Text)
    commit_sha: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    url: Mapped[str] = mapped_column(Text)
    observed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    received: Mapped[Received] = relationship()


async def prepare(database: str, redis: str) -> None:
    """Make the tables and empty the queue."""
    connection = await asyncpg.connect(database)
    await connection.execute(SCHEMA)
    await connection.close()
    pool = await create_pool(RedisSettings.from_dsn(redis))
    await pool.flushdb()
    await pool.aclose()


async def serve(port: str, _database: str, redis: str) -> None:
    """Serve until killed."""
    pool = await create_pool(RedisSettings.from_dsn(redis))

    async def keep(delivery_id: str, body: bytes) -> None:
        await _enqueue(pool, delivery_id, body)

    await listen(build(SECRET.encode(), keep), int(port))


async def fill(count: str, _database: str, redis: str) -> None:
    """Enqueue workflow runs."""
    pool = await create_pool(RedisSettings.from_dsn(redis))
    for first in range(0, int(count), FILL_BATCH):
        numbers = range(first, min(first + FILL_BATCH, int(count)))
        await asyncio.gather(*(_enqueue(pool, f"backlog-{n:08d}", workflow_run(n)) for n in numbers))
    await pool.aclose()


async def _enqueue(pool: ArqRedis, delivery_id: str, body: bytes) -> None:
    await pool.enqueue_job("record", delivery_id, body, _job_id=delivery_id)


async def record(ctx: dict[str, Any], delivery_id: str, body: bytes) -> None:
    """The job."""
    fact = read(delivery_id, body)
    async with ctx["sessions"]() as session:
        session.add(FactRow(**fact._asdict(), received=Received(delivery_id=delivery_id, body_sha256=digest(body))))
        await session.commit()


async def work(database: str, redis: str) -> None:
    """Work until killed."""
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(database),
        pool_size=ARQ_MAX_JOBS,
        max_overflow=0,
    )
    worker = Worker(
        [record],
        redis_settings=RedisSettings.from_dsn(redis),
        max_jobs=ARQ_MAX_JOBS,
        keep_result=0,
        poll_delay=ARQ_POLL_DELAY,
        queue_read_limit=ARQ_READ_LIMIT,
        log_results=False,
        handle_signals=False,
        ctx={"sessions": async_sessionmaker(engine, expire_on_commit=False)},
    )
    await worker.async_run()


if __name__ == "__main__":
    main({"prepare": prepare, "serve": serve, "fill": fill, "work": work})
