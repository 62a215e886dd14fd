"""Running jobs with arq, in a process that survives the loss of Redis."""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC
from typing import Any

import structlog
from arq import Worker, cron, func
from arq.cron import CronJob
from arq.typing import WorkerCoroutine
from arq.worker import Function
from redis.exceptions import RedisError

from storage.schedule.wakeups import QUEUE, Job, begin
from storage.services import Services

log = structlog.get_logger()

Work = Callable[[Services], Awaitable[None]]

MIN_PAUSE, MAX_PAUSE = 0.1, 5.0
JOB_TIMEOUT = 600
AGAIN = 1.0
"""Seconds between two cancellations of an arq worker that should have ended."""


class Host:
    """Runs jobs when they are woken, and the sweeps at fixed times, until it is stopped."""

    def __init__(self, services: Services, jobs: Mapping[Job, Work], sweep: Work) -> None:
        self._services = services
        self._functions: Sequence[Function] = [func(_job(job, work), name=job.value) for job, work in jobs.items()]
        self._sweep = sweep
        self._stop = asyncio.Event()
        self._kept: set[asyncio.Task[Any]] = set()

    def stop(self) -> None:
        """Start no more jobs, and let running ones finish within the grace period."""
        self._stop.set()

    async def run(self) -> None:
        """Run until stopped. When Redis is lost, running jobs continue and a new arq worker replaces the old one."""
        pause = MIN_PAUSE
        while not self._stop.is_set():
            worker = self._worker()
            started = asyncio.get_running_loop().time()
            try:
                await self._run_worker(worker)
            except (RedisError, OSError) as error:
                log.warning("worker.redis_lost", error=type(error).__name__, pause=pause)
                self._kept.update(task for task in worker.tasks.values() if not task.done())
                if asyncio.get_running_loop().time() - started > MAX_PAUSE:
                    pause = MIN_PAUSE
                await self._sleep(pause)
                pause = min(pause * 2, MAX_PAUSE)
        await self._finish_kept()

    async def _run_worker(self, worker: Worker) -> None:
        running = asyncio.create_task(worker.async_run())
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not running.done():
            worker.handle_sig_wait_for_completion(signal.SIGTERM)
            await self._end(running)
        try:
            await running
        except asyncio.CancelledError:
            if not self._stop.is_set():
                raise

    async def _end(self, running: asyncio.Task[None]) -> None:
        """Wait for a worker that was told to stop.

        redis-py may swallow arq's one cancellation, so the worker is cancelled again until it ends.
        """
        patience = self._services.settings.shutdown_grace + AGAIN
        while not (await asyncio.wait({running}, timeout=patience))[0]:
            running.cancel()
            patience = AGAIN

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return

    async def _finish_kept(self) -> None:
        if self._kept:
            await asyncio.wait(self._kept, timeout=self._services.settings.shutdown_grace)

    def _worker(self) -> Worker:
        settings = self._services.settings
        every = set(range(0, 60, settings.sweep_interval))
        sweep: CronJob = cron(
            _sweep(self._sweep), name="sweep", second=every, keep_result=0, max_tries=1, run_at_startup=True
        )
        return Worker(
            self._functions,
            queue_name=QUEUE,
            cron_jobs=[sweep],
            redis_pool=self._services.redis,
            job_serializer=lambda value: json.dumps(value, default=repr).encode(),
            job_deserializer=json.loads,
            keep_result=0,
            max_tries=1,
            max_jobs=8,
            poll_delay=0.02,
            job_timeout=JOB_TIMEOUT,
            job_completion_wait=int(settings.shutdown_grace),
            handle_signals=False,
            log_results=False,
            health_check_interval=10,
            timezone=UTC,
            ctx={"services": self._services},
        )


class _OneAtATime:
    """A job that is woken while it runs is run once more afterwards, never concurrently in this process.

    No wake-up is lost, because a run starts after each: no other task can run between the end of the work and the check
    whether the job was woken again.
    """

    def __init__(self, work: Work) -> None:
        self._work = work
        self._working = False
        self._again = False

    async def __call__(self, services: Services) -> None:
        self._again = True
        if self._working:
            return
        self._working = True
        try:
            while self._again:
                self._again = False
                await self._work(services)
        finally:
            self._working = False


def _job(job: Job, work: Work) -> WorkerCoroutine:
    one = _OneAtATime(work)

    async def run(ctx: dict[Any, Any], *_args: Any, **_kwargs: Any) -> None:
        services: Services = ctx["services"]
        await begin(services.redis, job)
        await one(services)

    return run


def _sweep(work: Work) -> WorkerCoroutine:
    async def sweep(ctx: dict[Any, Any], *_args: Any, **_kwargs: Any) -> None:
        await work(ctx["services"])

    return sweep
