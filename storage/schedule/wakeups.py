"""Waking workers: telling them that there is work, by a message through Redis that may be lost and never blocks.

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
"""Seconds between two rounds: a busy process sends a hundred wake-ups a second, not one per commit."""

log = structlog.get_logger()


class Job(StrEnum):
    """Every job that can be woken."""

    DRAIN = "drain"
    RELAY = "relay"
    SEAL = "seal"


MIN_INTERVALS = {Job.DRAIN: PAUSE, Job.RELAY: PAUSE, Job.SEAL: 0.1}
"""Seconds between two wake-ups of one job. Every commit wakes the seal, and nobody waits for it."""


def _serialise(value: dict[str, Any]) -> bytes:
    return json.dumps(value, default=repr).encode()


@asynccontextmanager
async def open_redis(url: str) -> AsyncIterator[ArqRedis]:
    """The pool for wake-ups and for arq; JSON on the wire, because whoever can write pickles to Redis can run code.

    arq's own settings are not used: they do not unquote the path of a socket.
    """
    pool = ConnectionPool.from_url(url, socket_timeout=10, socket_connect_timeout=5)
    redis = ArqRedis(pool, job_serializer=_serialise, job_deserializer=json.loads, default_queue_name=QUEUE)
    try:
        yield redis
    finally:
        await redis.aclose()
        await pool.aclose()


async def begin(redis: ArqRedis, job: Job) -> None:
    """The first act of a job: from here on a wake-up queues a new job, because this one may be past its last look."""
    await redis.incr(_generation_key(job))


async def enqueue_wake_up(redis: ArqRedis, job: Job) -> None:
    """Wake a job after a commit. The id names the generation that has not begun to look, so that none is lost between.

    Proof: the commit comes before the GET. If the job of that generation is queued already, it either has not begun,
    and looks after our commit, or began after our GET, and looks after that.
    """
    generation = int(await redis.get(_generation_key(job)) or 0)
    await redis.enqueue_job(job.value, _job_id=f"{job.value}:{generation}")


def _generation_key(job: Job) -> str:
    return f"wake-up-generation:{job.value}"


class WakeUps:
    """Sends wake-ups from a task of its own, so that nobody waits for Redis; several requests meanwhile become one.

    Fails open: without Redis the work waits for the worker's sweep, and nothing is lost.
    """

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis
        self._requested: set[Job] = set()
        self._not_before: dict[Job, float] = {}
        self._any = asyncio.Event()
        self._closing = False

    def wake(self, job: Job) -> None:
        """Ask for a wake-up, after a commit."""
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
        """With its task."""
        wakeups = cls(redis)
        task = asyncio.create_task(wakeups._run())
        try:
            yield wakeups
        finally:
            # redis-py may swallow a cancellation that meets a command in flight; the flag ends the loop all the same.
            wakeups._closing = True
            wakeups._any.set()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
