"""Token buckets that all processes share through Redis, without a request waiting for Redis.

A bucket holds the tokens of one minute. It is stored as the time at which it will be full again (the generic cell rate
algorithm): one number, which expires when the bucket is full, so that only buckets in use take memory. Each process
spends from its own copy, and tells Redis a moment later what it spent; the answer includes what the others spent. What
several processes allow in that moment beyond the limit is a debt, which they pay back by waiting.

Without Redis each process keeps to the limits by itself.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from domain.errors import Unavailable
from domain.identity.rates import RateLimit

WINDOW = 60.0
"""Seconds in which an empty bucket fills."""
PAUSE = 0.1
"""Seconds between two reports to Redis, if there is something to tell."""
TIMEOUT = 0.25
"""Seconds that Redis may take to accept a connection, and to answer."""
RETRY = 1.0
"""Seconds for which Redis is left alone after it failed."""
MAX_BUCKETS = 10_000
"""Buckets of one limit that a process keeps."""
TOLD_AT_ONCE = 500
"""Buckets in one call of the script: Redis serves nobody else meanwhile."""

MICROSECONDS = 1_000_000
EXACT = 1e-6
"""What the sum of intervals may be off by."""

_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local asks, window = ARGV[1] == 'ask', tonumber(ARGV[2])
local missing, refused = {}, false
for i, key in ipairs(KEYS) do
  local full_at = tonumber(redis.call('GET', key) or now)
  local known = math.min(math.max(full_at - now, 0), 2 * window)
  missing[i] = math.min(known + tonumber(ARGV[i + 2]), 2 * window)
  refused = refused or (asks and missing[i] > window)
end
if not refused then
  for i, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.0f', now + missing[i]), 'PX', math.ceil(missing[i] / 1000) + 1)
  end
end
return missing
"""
"""KEYS: buckets. ARGV: `tell` or `ask`, the window, then for each bucket what is spent, in microseconds of filling.

Returns for each bucket how long it takes to fill. `ask`, for one bucket, spends nothing if it has no token. Debts are
limited to one window, so that a clock that is set back refuses nobody for longer.
"""

log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class Bucket:
    """A process's copy of a bucket: when it will be full (`time.monotonic`), and how many tokens Redis was not told of.

    `interval` is the time in which one token is added.
    """

    name: str
    interval: float
    full_at: float = 0.0
    untold: int = 0

    def remaining(self, now: float) -> int:
        """Return the number of tokens."""
        return max(0, int((WINDOW - max(0.0, self.full_at - now)) / self.interval + EXACT))

    def wait(self, now: float) -> float:
        """Return the seconds until there is a token; not more than 0 if there is one."""
        return self.full_at - now - WINDOW + self.interval - EXACT


class SharedBuckets:
    """The buckets of all limits, and their exchange with Redis."""

    def __init__(self) -> None:
        self._spent: list[Bucket] = []
        self._any = asyncio.Event()
        self._exchange: _Exchange | None = None

    def spend(self, bucket: Bucket, now: float) -> None:
        """Take a token, even when there is none: then the bucket is in debt, for one window at most."""
        bucket.full_at = min(max(bucket.full_at, now) + bucket.interval, now + 2 * WINDOW)
        if not bucket.untold:
            self._spent.append(bucket)
            self._any.set()
        bucket.untold += 1

    async def ask(self, name: str, interval: float) -> float:
        """Take a token of a bucket if it has one: Redis decides. Raises Unavailable without it.

        Returns the seconds until it has one; 0 when it had.
        """
        try:
            if self._exchange is None:
                raise ConnectionError("not open")
            [missing] = await self._exchange.run("ask", [(name, interval)])
        except (RedisError, OSError, TimeoutError) as error:
            raise Unavailable("Sign-ins cannot be counted at the moment, so nobody can sign in; try again.") from error
        return max(0.0, missing - WINDOW)

    @asynccontextmanager
    async def opened(self, redis_url: str) -> AsyncIterator[None]:
        """Share the buckets through Redis, over a connection whose failures nobody else notices."""
        redis = Redis.from_url(redis_url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT)
        self._exchange = _Exchange(redis)
        telling = asyncio.create_task(self._tell(self._exchange))
        try:
            yield
        finally:
            self._exchange = None
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling
            await redis.aclose()

    async def _tell(self, exchange: "_Exchange") -> None:
        """Report what was spent, until closed: in Python 3.11 `asyncio.wait_for` may lose a cancellation."""
        while self._exchange is exchange:
            await self._any.wait()
            await asyncio.sleep(PAUSE if exchange.available else RETRY)
            self._any.clear()
            spent, self._spent = self._spent, []
            for first in range(0, len(spent), TOLD_AT_ONCE):
                await self._tell_of(exchange, spent[first : first + TOLD_AT_ONCE])

    async def _tell_of(self, exchange: "_Exchange", spent: Sequence[Bucket]) -> None:
        told = [bucket.untold for bucket in spent]
        try:
            missing = await exchange.run("tell", [(one.name, one.interval * one.untold) for one in spent])
        except (RedisError, OSError, TimeoutError):
            for bucket in spent:
                bucket.untold = 0  # nothing may pile up while Redis is away
            return
        now = monotonic()
        for bucket, count, seconds in zip(spent, told, missing, strict=True):
            bucket.untold -= count
            bucket.full_at = now + seconds + bucket.untold * bucket.interval
            if bucket.untold:  # spent meanwhile
                self._spent.append(bucket)
                self._any.set()


@dataclass
class _Exchange:
    """One call of the script at a time, none for a second after one that failed."""

    redis: "Redis"
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _not_before: float = 0.0

    def __post_init__(self) -> None:
        self._script = self.redis.register_script(_SCRIPT)

    @property
    def available(self) -> bool:
        """Whether the last call succeeded, or is long enough ago."""
        return monotonic() >= self._not_before

    async def run(self, verb: str, buckets: Sequence[tuple[str, float]]) -> list[float]:
        """Spend of each bucket what fills in that many seconds; return in how many seconds each is full.

        Raises the errors of redis-py.
        """
        async with self._turn:
            if not self.available:
                raise ConnectionError("Redis failed a moment ago")
            try:
                args: list[str | int] = [
                    verb,
                    int(WINDOW * MICROSECONDS),
                    *(round(one[1] * MICROSECONDS) for one in buckets),
                ]
                found = await self._script(keys=[one[0] for one in buckets], args=args)
            except (RedisError, OSError, TimeoutError) as error:
                self._not_before = monotonic() + RETRY
                log.warning("rate_limits.not_shared", error=type(error).__name__)
                raise
        return [int(one) / MICROSECONDS for one in found]


class Limited:
    """The buckets of one limit, by whom they belong to. When there are too many, the oldest is forgotten.

    Redis knows a forgotten bucket still: whoever spends from it again learns of it with the next answer.
    """

    def __init__(self, limit: RateLimit, per_minute: int) -> None:
        self.limit = limit
        self.per_minute = per_minute
        self.shown = str(per_minute)
        self._interval = WINDOW / per_minute
        self._of: dict[object, Bucket] = {}

    def bucket(self, owner: object) -> Bucket:
        """Return the bucket of an owner; a new one is full."""
        found = self._of.get(owner)
        if found is None:
            if len(self._of) >= MAX_BUCKETS:
                del self._of[next(iter(self._of))]
            found = self._of[owner] = Bucket(self.name(owner), self._interval)
        return found

    def known(self, owner: object) -> Bucket | None:
        """Return the bucket of an owner if there is one."""
        return self._of.get(owner)

    def name(self, owner: object) -> str:
        """Return the key of an owner's bucket in Redis."""
        return f"rate:{self.limit}:{owner}"

    def asked(self, owner: object) -> tuple[str, float]:
        """Return a bucket as `SharedBuckets.ask` takes it."""
        return self.name(owner), self._interval
