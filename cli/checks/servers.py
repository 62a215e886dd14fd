"""Check PostgreSQL, Valkey or Redis, and the workers."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from arq.connections import ArqRedis
from arq.constants import health_check_key_suffix
from redis.exceptions import RedisError, ResponseError

from cli.checks.findings import DoctorFinding, fail, ok, warn
from storage.clock import Clock
from storage.database import Reader
from storage.migrations import NewerDatabase, differences
from storage.partitions import AHEAD, months_ahead
from storage.schedule.queries import sweep_lags
from storage.schedule.sweeps import Sweep
from storage.schedule.wakeups import QUEUE, open_redis

OLDEST_POSTGRES = 160_000
"""The oldest supported `server_version_num`."""
TIMEOUT_CHECK = 10
"""Seconds for one check."""
SKEW_SEEN, SKEW_HARMFUL = timedelta(seconds=2), timedelta(seconds=60)
"""Clock differences that warn and fail: receivers of Standard Webhooks tolerate five minutes, leases far less."""
KEEPS_ALL = "noeviction"
LATE = timedelta(minutes=2)
"""A sweep that is this late needs attention."""
START_WORKER = "start one: `trailgate worker`, or `trailgate up`"


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
    try:
        found = await differences(database_url)
    except NewerDatabase as newer:
        return fail("schema", newer.finding, newer.advice)
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


async def examine_worker(reader: Reader, redis_url: str, clock: Clock, *, stopped: bool) -> DoctorFinding:
    """Check that a worker is running, by its health check in Redis, and that no sweep is late.

    `stopped` says that the servers run for this command only.
    """
    if stopped:
        return warn("worker", "the installation is stopped, so no worker is running", "start it: `trailgate up`")
    now = clock.now()
    lags = await sweep_lags(reader, now)
    late = sorted(name for name, lag in lags.items() if lag > LATE)
    if await _has_health_check(redis_url):
        return _sweeps_of_running_worker(late)
    if Sweep.WAKE_UPS in late:
        return fail("worker", "no worker is running", START_WORKER)
    silent = now - await reader.value("SELECT max(last_run_at) FROM schedule")
    sweeps = f"these sweeps are late: {', '.join(late)}" if late else "the sweeps are not late yet"
    found = f"no worker has reported for {max(silent.total_seconds(), 0):.0f} seconds; {sweeps}"
    return warn("worker", found, f"look again in ten seconds; if none has reported then, {START_WORKER}")


def _sweeps_of_running_worker(late: Sequence[str]) -> DoctorFinding:
    if not late:
        return ok("worker", "a worker is running and every sweep is on time")
    advice = "look for sweep.failed in the workers' logs"
    return warn("worker", f"a worker is running, but these sweeps are late: {', '.join(late)}", advice)


async def _has_health_check(redis_url: str) -> bool:
    """Return whether arq's health-check key exists, which workers renew every ten seconds and which expires in eleven.

    Any worker that stops deletes it, so its absence for ten seconds proves nothing.
    """
    try:
        async with asyncio.timeout(TIMEOUT_CHECK), open_redis(redis_url) as redis:
            return bool(await redis.exists(QUEUE + health_check_key_suffix))
    except (RedisError, OSError, ValueError):
        return False
