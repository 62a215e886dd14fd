"""Wake-ups: tell workers through Redis that there is work. They never block the sender and may be lost.

Postgres is the record of the work. A wake-up only makes a worker look at once instead of at its next sweep.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from typing import Any

import structlog
from arq.connections import ArqRedis
from redis.asyncio import ConnectionPool
from redis.exceptions import RedisError

QUEUE = "trailgate:wake-ups"

PAUSE = 0.01
"""Seconds between two rounds: a busy process sends at most a hundred wake-ups of a job per second."""

log = structlog.get_logger()


class Job(StrEnum):
    """Every job that can be woken."""

    DRAIN = "drain"
    RELAY = "relay"
    SEAL = "seal"


MIN_INTERVALS = {Job.DRAIN: PAUSE, Job.RELAY: PAUSE, Job.SEAL: 0.1}
"""Minimum seconds between two wake-ups of one job. Every commit wakes the sealer, and no caller waits for it."""


def _serialise(value: dict[str, Any]) -> bytes:
    return json.dumps(value, default=repr).encode()


@asynccontextmanager
async def open_redis(url: str) -> AsyncIterator[ArqRedis]:
    """Open the pool for wake-ups and arq. Jobs are JSON: with pickle, anyone who can write to Redis could run code.

    arq's own RedisSettings are not used, because they do not unquote the path of a socket.
    """
    pool = ConnectionPool.from_url(url, socket_timeout=10, socket_connect_timeout=5)
    redis = ArqRedis(pool, job_serializer=_serialise, job_deserializer=json.loads, default_queue_name=QUEUE)
    try:
        yield redis
    finally:
        await redis.aclose()
        await pool.aclose()


async def begin(redis: ArqRedis, job: Job) -> None:
    """Start a new generation; every job does this first. From then on a wake-up queues another job."""
    await redis.incr(_generation_key(job))


async def enqueue_wake_up(redis: ArqRedis, job: Job) -> None:
    """Wake a job after a commit. The job id contains the generation that has not started, so no wake-up is lost.

    Proof: the commit precedes the GET. If the job of that generation is already queued, then either it has not started
    and will look for work after our commit, or it started after our GET and also looks after our commit.
    """
    generation = int(await redis.get(_generation_key(job)) or 0)
    await redis.enqueue_job(job.value, _job_id=f"{job.value}:{generation}")


def _generation_key(job: Job) -> str:
    return f"wake-up-generation:{job.value}"


class WakeUps:
    """Sends wake-ups from a background task, so that no caller waits for Redis; requests for the same job are merged.

    Fails open: without Redis the work waits for the workers' sweep, and nothing is lost.
    """

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis
        self._requested: set[Job] = set()
        self._not_before: dict[Job, float] = {}
        self._any = asyncio.Event()
        self._closing = False

    def wake(self, job: Job) -> None:
        """Request a wake-up; call it after the commit."""
        self._requested.add(job)
        self._any.set()

    async def _run(self) -> None:
        while not self._closing:
            await self._any.wait()
            self._any.clear()
            now = asyncio.get_running_loop().time()
            due = {job for job in self._requested if now >= self._not_before.get(job, 0.0)}
            self._requested -= due
            for job in due:
                self._not_before[job] = now + MIN_INTERVALS[job]
                await self._enqueue(job)
            if self._requested:
                self._any.set()
            await asyncio.sleep(PAUSE)

    async def _enqueue(self, job: Job) -> None:
        try:
            await enqueue_wake_up(self._redis, job)
        except (RedisError, OSError) as error:
            log.warning("wake_ups.unreachable", job=job.value, error=type(error).__name__)

    @classmethod
    @asynccontextmanager
    async def opened(cls, redis: ArqRedis) -> "AsyncIterator[WakeUps]":
        """Start the background task, and stop it at the end."""
        wakeups = cls(redis)
        task = asyncio.create_task(wakeups._run())
        try:
            yield wakeups
        finally:
            # redis-py may swallow a cancellation while a command is in flight; then the flag ends the loop.
            wakeups._closing = True
            wakeups._any.set()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
