"""Liveness, readiness and metrics of this process."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated

import asyncpg
import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import Field
from redis.exceptions import RedisError

from api.http.calls import Call, Reply
from api.http.grouped import GROUP_COMMITS
from api.http.wire import Instant, WireModel
from api.monitoring import metrics
from domain.errors import Unavailable
from storage.database import UNREACHABLE
from storage.gauges import read_gauges
from storage.partitions import months_ahead
from storage.schedule.queries import sweep_lags

log = structlog.get_logger()

ABSENT = (*UNREACHABLE, Unavailable, asyncpg.PostgresError, TimeoutError)
"""The errors of a query while PostgreSQL is not available."""

REFUSING = timedelta(minutes=1)
"""How long readiness shows that a change was refused for lack of space: the next one may succeed."""

TIMEOUT_METRICS = 5
"""Seconds that PostgreSQL may take for the metrics; Prometheus itself waits ten."""


class Stopping:
    """A flag that turns readiness off before the listener closes."""

    def __init__(self) -> None:
        self.begun = False


STOPPING: web.AppKey[Stopping] = web.AppKey("stopping", Stopping)


class HealthOut(WireModel):
    """UP or DOWN, in total and per component.

    The process stays ready without Redis, as sweeps then start the work, and while the database refuses changes
    (`writing`), as it can be read.
    """

    status: Annotated[str, Field(examples=["UP"])]
    components: dict[str, str]
    timestamp: Instant


async def live(_call: Call) -> HealthOut:
    """Check that the process is running."""
    return HealthOut(status="UP", components={}, timestamp=datetime.now(UTC))


async def ready(call: Call) -> HealthOut | Reply[HealthOut]:
    """Check that the process can serve requests.

    The status is UP while the database answers and the process is not shutting down.
    """
    components = {**await _database(call), "redis": await _redis(call)}
    serving = components["database"] == "UP" and not call.request.app[STOPPING].begun
    body = HealthOut(status="UP" if serving else "DOWN", components=components, timestamp=datetime.now(UTC))
    return body if serving else Reply(body, status=503)


async def kosli_ready(call: Call) -> HealthOut | Reply[HealthOut]:
    """Check that the process can serve requests (Kosli's path)."""
    return await ready(call)


async def actuator_health(call: Call) -> HealthOut | Reply[HealthOut]:
    """Check that the process can serve requests (Spring Boot's path)."""
    return await ready(call)


async def prometheus(call: Call) -> web.Response:
    """Get the metrics in Prometheus text format.

    Queue depths and lags are read from PostgreSQL with each request; without PostgreSQL they are NaN or missing.
    """
    try:
        condition = await _condition(call)
    except ABSENT as error:
        log.warning("metrics.database_down", error=type(error).__name__)
        condition = None
    waiting = {name: commits.depth for name, commits in call.request.app[GROUP_COMMITS].items()}
    return web.Response(body=metrics.text(condition, waiting), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _condition(call: Call) -> metrics.Condition:
    now = call.services.clock.now()
    async with asyncio.timeout(TIMEOUT_METRICS), call.read() as reader:
        return metrics.Condition(
            await read_gauges(reader, now), await sweep_lags(reader, now), await months_ahead(reader)
        )


async def _database(call: Call) -> dict[str, str]:
    """Return whether the database answers, and whether it accepts changes: it is not read-only, and had space."""
    try:
        async with call.read() as reader:
            read_only = await reader.value("SELECT current_setting('transaction_read_only') = 'on'")
    except ABSENT as error:
        log.warning("health.database_down", error=type(error).__name__)
        return {"database": "DOWN", "writing": "DOWN"}
    refused_at = call.services.database.writing.refused_at
    refusing = refused_at is not None and call.services.clock.now() - refused_at < REFUSING
    return {"database": "UP", "writing": "DOWN" if read_only or refusing else "UP"}


async def _redis(call: Call) -> str:
    try:
        await call.services.redis.ping()
    except (RedisError, OSError) as error:
        log.warning("health.redis_down", error=type(error).__name__)
        return "DOWN"
    return "UP"
