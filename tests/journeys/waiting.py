"""Waiting for what must come to pass: by polling, never longer than said."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import asyncpg
from redis.exceptions import RedisError

T = TypeVar("T")

PAUSE = 0.02
SLOWEST = 6
"""How much slower than a quiet machine one may be whose processors are lent out: bounds only end what hangs."""
NOT_YET = (OSError, aiohttp.ClientError, asyncpg.PostgresError, asyncpg.InterfaceError, RedisError, TimeoutError)
"""What a process or server that is just starting makes of a question."""


async def eventually(ask: Callable[[], Awaitable[T]], seconds: float = 10, what: str = "what was waited for") -> T:
    """The first true answer. Fails, with the last answer, when none came within `seconds`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds * SLOWEST
    answer: object = None
    while loop.time() < deadline:
        try:
            answer = await ask()
        except NOT_YET as error:
            answer = error
        else:
            if answer:
                return answer
        await asyncio.sleep(PAUSE)
    raise AssertionError(f"{what}: not within {seconds * SLOWEST} s; last answer: {answer!r}")
