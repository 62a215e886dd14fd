"""Whether this process lives, whether it can serve, and its numbers."""

from datetime import UTC, datetime
from typing import Annotated

import asyncpg
import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import Field
from redis.exceptions import RedisError

from api import metrics
from api.calls import Call, Reply
from api.wire import Instant, WireModel
from api.writers import WRITERS
from domain.errors import Unavailable
from storage.database import UNREACHABLE
from storage.gauges import read_gauges

log = structlog.get_logger()


class Stopping:
    """Turns readiness off before the listener closes."""

    def __init__(self) -> None:
        self.begun = False


STOPPING: web.AppKey[Stopping] = web.AppKey("stopping", Stopping)


class HealthOut(WireModel):
    """UP or DOWN, and of what. Redis DOWN alone does not make the process unready: work waits for the sweep."""

    status: Annotated[str, Field(examples=["UP"])]
    components: dict[str, str]
    timestamp: Instant


async def live(_call: Call) -> HealthOut:
    """Tell whether the process runs."""
    return HealthOut(status="UP", components={}, timestamp=datetime.now(UTC))


async def ready(call: Call) -> HealthOut | Reply[HealthOut]:
    """Tell whether requests can be served: the database answers and the process is not stopping."""
    components = {"database": await _database(call), "redis": await _redis(call)}
    serving = components["database"] == "UP" and not call.request.app[STOPPING].begun
    body = HealthOut(status="UP" if serving else "DOWN", components=components, timestamp=datetime.now(UTC))
    return body if serving else Reply(body, status=503)


async def kosli_ready(call: Call) -> HealthOut | Reply[HealthOut]:
    """Tell whether requests can be served, at Kosli's path."""
    return await ready(call)


async def actuator_health(call: Call) -> HealthOut | Reply[HealthOut]:
    """Tell whether requests can be served, at Spring's path."""
    return await ready(call)


async def prometheus(call: Call) -> web.Response:
    """Read the metrics in Prometheus' text format.

    Queue depths and lags are read from Postgres at this moment.
    """
    async with call.services.database.read() as reader:
        gauges = await read_gauges(reader, call.services.clock.now())
    metrics.INBOX.set(gauges.inbox)
    metrics.INBOX_AGE.set(gauges.inbox_lag.total_seconds())
    metrics.DEAD.set(gauges.dead)
    metrics.UNSEALED.set(gauges.unsealed)
    metrics.SEAL_LAG.set(gauges.seal_lag.total_seconds())
    writers = call.request.app[WRITERS]
    metrics.WRITERS_DEPTH.labels("arrivals").set(writers.arrivals.depth)
    metrics.WRITERS_DEPTH.labels("attestations").set(writers.attestations.commits.depth)
    metrics.WRITERS_DEPTH.labels("assertions").set(writers.assertions.commits.depth)
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _database(call: Call) -> str:
    try:
        async with call.services.database.read() as reader:
            await reader.value("SELECT 1")
    except (*UNREACHABLE, Unavailable, asyncpg.PostgresError, TimeoutError) as error:
        log.warning("health.database_down", error=type(error).__name__)
        return "DOWN"
    return "UP"


async def _redis(call: Call) -> str:
    try:
        await call.services.redis.ping()
    except (RedisError, OSError) as error:
        log.warning("health.redis_down", error=type(error).__name__)
        return "DOWN"
    return "UP"
