"""Rate limits that all processes share, counted in Redis by the minute."""

from collections.abc import Awaitable
from hashlib import sha256
from typing import cast

from arq.connections import ArqRedis

from domain.errors import Throttled
from storage.redis import needing_redis

WINDOW = 60
"""Seconds."""

_COUNT = """
local n = redis.call('INCR', KEYS[1])
if n == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return {n, redis.call('TTL', KEYS[1])}
"""
"""One step, so that no process can die between the two and leave a counter that never ends."""


async def count_request(redis: ArqRedis, limit: str, subject: str, most: int) -> None:
    """Count a request of a subject, such as an address, that may send `most` a minute; 0 is no limit.

    Raises Throttled above that, and Unavailable without Redis: what is limited here is refused when it cannot be
    counted.
    """
    if not most:
        return
    name = f"rate:{limit}:{sha256(subject.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}"
    with needing_redis("This"):
        counted = cast("Awaitable[list[int]]", redis.eval(_COUNT, 1, name, str(WINDOW)))  # as redis-py types it
        number, seconds = await counted
    if number > most:
        message = f"Too many requests: {limit} allows {most} a minute. Try again in {max(seconds, 1)} seconds."
        raise Throttled(message, max(seconds, 1), limit=limit)
