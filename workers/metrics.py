"""Metrics of a worker, and the server for Prometheus. Queue depths and lags are metrics of the API instead."""

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest

from storage.settings import Settings

PORTS = 16
"""Number of ports to try: the workers of one machine share the setting, and each takes the next free port."""
HIGHEST_PORT = 65_535

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

DRAINED = Counter("trailgate_drained", "Deliveries the drain has settled or put off", ["outcome"])
DRAIN_SECONDS = Histogram("trailgate_drain_batch_seconds", "Time to settle one claimed batch", buckets=_SECONDS)
UNKNOWN_STATES = Counter("trailgate_unknown_states", "Deliveries with a state that no parser knows", ["source"])
SEALED = Counter("trailgate_sealed", "Audit events sealed into the ledger")
CHECKPOINTS = Counter("trailgate_checkpoints_signed", "Checkpoints signed")
INCONSISTENT = Counter("trailgate_ledger_inconsistent", "Times a ledger was not what was sealed, and was left unsigned")
UNPUBLISHED = Counter("trailgate_checkpoints_unpublished", "Publications of checkpoints that failed")
RELAYED = Counter("trailgate_relayed", "Messages the relay has settled", ["channel", "outcome"])
RELAY_RETRIES = Counter("trailgate_relay_retries", "Attempts that failed and will be repeated", ["channel"])
RELAY_SECONDS = Histogram("trailgate_relay_attempt_seconds", "Time of one attempt", ["channel"], buckets=_SECONDS)
SWEEP_FAILURES = Counter("trailgate_sweep_failures", "Sweeps that failed", ["sweep"])

log = structlog.get_logger()


@asynccontextmanager
async def metrics_served(settings: Settings) -> AsyncIterator[int | None]:
    """Serve the metrics of this process at /metrics, on the first free port from the configured one on; yield the port.

    Yields None if the setting is 0 or no port is free: the worker then runs without metrics, and logs an error.
    """
    if not settings.worker_metrics_port:
        yield None
        return
    app = web.Application()
    app.router.add_get("/metrics", _latest)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        yield await _listen(runner, settings.host, settings.worker_metrics_port)
    finally:
        await runner.cleanup()


async def _latest(_request: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _listen(runner: web.AppRunner, host: str, first: int) -> int | None:
    last = min(first + PORTS - 1, HIGHEST_PORT)
    for port in range(first, last + 1):
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            log.error("metrics.unserved", host=host, port=port, error=str(error))  # noqa: TRY400 - the text says all
            return None
        log.info("metrics.served", host=host, port=port)
        return port
    log.error("metrics.unserved", host=host, port=first, error=f"ports {first} to {last} are in use")
    return None
