"""Check PostgreSQL, Valkey or Redis, and the workers."""

import asyncio
from datetime import timedelta

from arq.connections import ArqRedis
from arq.constants import health_check_key_suffix
from redis.exceptions import RedisError, ResponseError

from cli.checks.findings import DoctorFinding, fail, ok, warn
from storage.clock import Clock
from storage.database import Reader
from storage.migrations import differences
from storage.partitions import AHEAD, months_ahead
from storage.schedule.queries import sweep_lags
from storage.schedule.wakeups import QUEUE, open_redis

OLDEST_POSTGRES = 160_000
"""The oldest supported `server_version_num`."""
TIMEOUT_CHECK = 10
"""Seconds for one check."""
SKEW_SEEN, SKEW_HARMFUL = timedelta(seconds=2), timedelta(seconds=60)
"""Clock differences that warn and fail: receivers of Standard Webhooks tolerate five minutes, leases far less."""
KEEPS_ALL = "noeviction"
LATE = timedelta(minutes=2)
"""If all sweeps are this late, no worker is running."""


async def examine_server(reader: Reader, clock: Clock) -> list[DoctorFinding]:
    """Return findings about the version, durability and clock of PostgreSQL."""
    return [await _version(reader), await _durability(reader), await _skew(reader, clock)]


async def _version(reader: Reader) -> DoctorFinding:
    found = f"version {await reader.value('SHOW server_version')} is running"
    if int(await reader.value("SHOW server_version_num")) < OLDEST_POSTGRES:
        return fail("postgres", found, "upgrade to PostgreSQL 16 or newer")
    return ok("postgres", found)


async def _durability(reader: Reader) -> DoctorFinding:
    lax = [name for name in ("fsync", "synchronous_commit") if await reader.value(f"SHOW {name}") == "off"]
    if lax:
        found = f"{' and '.join(lax)} off: a power failure loses accepted data"
        return fail("durability", found, "switch it on in postgresql.conf")
    return ok("durability", "commits are synced to disk")


async def _skew(reader: Reader, clock: Clock) -> DoctorFinding:
    before = clock.now()
    theirs = await reader.value("SELECT clock_timestamp()")
    after = clock.now()
    skew = max(before - theirs, theirs - after, timedelta())  # without the duration of the query itself
    found = f"differs from the clock of PostgreSQL by {skew.total_seconds():.1f} s"
    if skew > SKEW_HARMFUL:
        return fail("clock", found, "synchronise both machines by NTP")
    return warn("clock", found, "synchronise both machines by NTP") if skew > SKEW_SEEN else ok("clock", found)


async def examine_schema(database_url: str) -> DoctorFinding:
    """Check that the database has the schema of this version."""
    found = await differences(database_url)
    if not found:
        return ok("schema", "matches this version")
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return fail(
        "schema",
        f"{found[0].removesuffix(': trailgate migrate')}{more}",
        "run trailgate migrate, then trailgate doctor again",
    )


async def examine_partitions(reader: Reader) -> DoctorFinding:
    """Check that the coming months have their partitions."""
    ahead = await months_ahead(reader)
    table = min(ahead, key=lambda name: ahead[name])
    if ahead[table] < AHEAD - 1:
        advice = "a worker creates them once a day: look for sweep.failed in its log"
        return warn("partitions", f"{table} has partitions for {ahead[table]} months to come", advice)
    return ok("partitions", f"exist for {ahead[table]} months to come")


async def examine_redis(url: str) -> list[DoctorFinding]:
    """Check that Redis answers and does not evict keys."""
    try:
        async with asyncio.timeout(TIMEOUT_CHECK), open_redis(url) as redis:
            await redis.ping()
            policy = await _eviction(redis)
    except (RedisError, OSError, ValueError) as error:  # ValueError: an unknown URL scheme
        reason = str(error) or type(error).__name__
        return [fail("redis", f"cannot be reached: {reason}", "start it, or correct TRAILGATE_REDIS_URL")]
    if policy == KEEPS_ALL:
        return [ok("redis", "answers")]
    return [warn("redis", f"answers, but evicts keys ({policy})", f"set maxmemory-policy to {KEEPS_ALL}")]


async def _eviction(redis: ArqRedis) -> str:
    try:
        return str((await redis.config_get("maxmemory-policy")).get("maxmemory-policy", KEEPS_ALL))
    except ResponseError:  # managed services do not allow CONFIG
        return KEEPS_ALL


async def examine_worker(reader: Reader, redis_url: str, clock: Clock) -> DoctorFinding:
    """Check that a worker is running, by its health check in Redis or by its sweeps, and that no sweep is late."""
    alive = await _has_health_check(redis_url)
    lags = await sweep_lags(reader, clock.now())
    late = sorted(name for name, lag in lags.items() if lag > LATE)
    if not alive and len(late) == len(lags):
        return fail("worker", "no worker is running", "start one: `trailgate worker`, or `trailgate up`")
    if late:
        advice = "look for sweep.failed in the workers' logs"
        return warn("worker", f"a worker is running, but these sweeps are late: {', '.join(late)}", advice)
    return ok("worker", "a worker is running and every sweep is on time")


async def _has_health_check(redis_url: str) -> bool:
    """Return whether arq's health-check key exists, which workers renew every ten seconds.

    Any worker that stops deletes it, so its absence proves nothing.
    """
    try:
        async with asyncio.timeout(TIMEOUT_CHECK), open_redis(redis_url) as redis:
            return bool(await redis.exists(QUEUE + health_check_key_suffix))
    except (RedisError, OSError, ValueError):
        return False
