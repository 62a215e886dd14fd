"""Threads for large deliveries, apart from those of all other work."""

from collections.abc import AsyncIterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class DeliveryThreads:
    """`hashing` is one thread, so that senders who prove nothing keep one core busy at most."""

    hashing: Executor
    checking: Executor


DELIVERY_THREADS: web.AppKey[DeliveryThreads] = web.AppKey("delivery_threads", DeliveryThreads)


async def delivery_threads(app: web.Application) -> AsyncIterator[None]:
    """Provide `DELIVERY_THREADS` while the application serves."""
    with ThreadPoolExecutor(1, "hashing") as hashing, ThreadPoolExecutor(2, "checking") as checking:
        app[DELIVERY_THREADS] = DeliveryThreads(hashing, checking)
        yield
