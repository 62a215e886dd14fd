"""The doorbell: telling workers that there is work, by a nudge that may be lost and never blocks (prototypes.md C3)."""

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

QUEUE = "trailgate:doorbell"

PAUSE = 0.01
"""Seconds between two rounds of nudges: a busy process rings a hundred times a second, not once per commit."""

log = structlog.get_logger()


class Job(StrEnum):
    """Every job that can be rung for."""

    DRAIN = "drain"
    RELAY = "relay"
    SEAL = "seal"


def _serialise(value: dict[str, Any]) -> bytes:
    return json.dumps(value, default=repr).encode()


@asynccontextmanager
async def open_redis(url: str) -> AsyncIterator[ArqRedis]:
    """The pool for nudges and for arq; JSON on the wire, because whoever can write pickles to Redis can run code.

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
    """The first act of a job: from here on a nudge queues a new job, because this one may be past its last look."""
    await redis.incr(_bell(job))


async def nudge(redis: ArqRedis, job: Job) -> None:
    """Ring after a commit. The id names the generation that has not begun to look, so no ring falls between two."""
    generation = int(await redis.get(_bell(job)) or 0)
    await redis.enqueue_job(job.value, _job_id=f"{job.value}:{generation}")


def _bell(job: Job) -> str:
    return f"bell:{job.value}"


REST = {Job.DRAIN: PAUSE, Job.RELAY: PAUSE, Job.SEAL: 0.1}
"""Seconds between two nudges for one job. Every commit rings for the seal, and nobody waits for it."""


class Doorbell:
    """Rings from a task of its own, so that nobody waits for Redis; rings that come meanwhile become one.

    Fails open: without Redis the work waits for the worker's sweep, and nothing is lost.
    """

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis
        self._rung: set[Job] = set()
        self._resting_until: dict[Job, float] = {}
        self._wake = asyncio.Event()
        self._closing = False

    def ring(self, job: Job) -> None:
        """Ask for a nudge, after a commit."""
        self._rung.add(job)
        self._wake.set()

    async def _run(self) -> None:
        while not self._closing:
            await self._wake.wait()
            self._wake.clear()
            now = asyncio.get_running_loop().time()
            rested = {job for job in self._rung if now >= self._resting_until.get(job, 0.0)}
            self._rung -= rested
            for job in rested:
                self._resting_until[job] = now + REST[job]
                await self._nudge(job)
            if self._rung:
                self._wake.set()
            await asyncio.sleep(PAUSE)

    async def _nudge(self, job: Job) -> None:
        try:
            await nudge(self._redis, job)
        except (RedisError, OSError) as error:
            log.warning("doorbell.unreachable", job=job.value, error=type(error).__name__)

    @classmethod
    @asynccontextmanager
    async def opened(cls, redis: ArqRedis) -> "AsyncIterator[Doorbell]":
        """The doorbell with its task."""
        doorbell = cls(redis)
        task = asyncio.create_task(doorbell._run())
        try:
            yield doorbell
        finally:
            # redis-py may swallow a cancellation that meets a command in flight; the flag ends the loop all the same.
            doorbell._closing = True
            doorbell._wake.set()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
