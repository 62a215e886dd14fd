"""Threads for large deliveries, apart from those of all other work."""

from collections.abc import AsyncIterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Threads:
    """`hashing` is one thread, so that senders who prove nothing keep one core busy at most."""

    hashing: Executor
    checking: Executor


THREADS: web.AppKey[Threads] = web.AppKey("delivery_threads", Threads)


async def threads(app: web.Application) -> AsyncIterator[None]:
    """Provide `THREADS` while the application serves."""
    with ThreadPoolExecutor(1, "hashing") as hashing, ThreadPoolExecutor(2, "checking") as checking:
        app[THREADS] = Threads(hashing, checking)
        yield
