"""The baseline of the relay: an aiohttp client that posts one body again and again, as many at once as the relay.

`python -m tests.bench.bare_poster URL COUNT AT_ONCE < body` prints the seconds it took.
"""

import asyncio
import sys
import time
from collections.abc import Iterator

import aiohttp
import uvloop


async def post_all(url: str, body: bytes, count: int, at_once: int) -> float:
    """Seconds from the first request to the last answer."""
    numbers = iter(range(count))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        started = time.perf_counter()
        await asyncio.gather(*(_post_in_turn(session, url, body, numbers) for _ in range(at_once)))
        return time.perf_counter() - started


async def _post_in_turn(session: aiohttp.ClientSession, url: str, body: bytes, numbers: Iterator[int]) -> None:
    for _ in numbers:
        async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as answer:
            await answer.read()


if __name__ == "__main__":
    print(uvloop.run(post_all(sys.argv[1], sys.stdin.buffer.read(), int(sys.argv[2]), int(sys.argv[3]))))  # noqa: T201
