"""Access log and metrics of every request; aiohttp's own access log would halve the webhook receiver's throughput."""

import time
from functools import cache

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import Counter, Histogram

from api.http import metrics
from api.http.binding import OPERATION
from api.http.calls import RECEIPT_ID, REQUEST_ID

LINES_PER_SECOND = 50
"""Requests logged per second; server errors are always logged."""
FAILED = 500
DENIED = frozenset({401, 403})
UNROUTED = "unrouted"

log = structlog.get_logger()


@cache
def _requests(operation: str, status: int) -> Counter:
    return metrics.REQUESTS.labels(operation, str(status))


@cache
def _seconds(operation: str) -> Histogram:
    return metrics.SECONDS.labels(operation)


class _Budget:
    """The number of lines that may still be logged in the current second."""

    def __init__(self) -> None:
        self._second = 0
        self._left = 0
        self._skipped = 0

    def take(self, now: float) -> int | None:
        """Return None when the line must be skipped, otherwise the number of lines skipped since the last one."""
        if int(now) != self._second:
            self._second, self._left = int(now), LINES_PER_SECOND
        if not self._left:
            self._skipped += 1
            return None
        self._left -= 1
        skipped, self._skipped = self._skipped, 0
        return skipped


def observer() -> Middleware:
    """Return the middleware that logs and measures requests; it must be the outermost one."""
    budget = _Budget()

    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        response = await handler(request)
        seconds = time.perf_counter() - started
        operation = request.get(OPERATION, UNROUTED)
        _requests(operation, response.status).inc()
        _seconds(operation).observe(seconds)
        if response.status in DENIED:
            metrics.DENIED.labels(str(response.status)).inc()
        skipped = budget.take(started) if response.status < FAILED else 0
        if skipped is not None:
            log.info(
                "request",
                request_id=request[REQUEST_ID],
                receipt_id=request.get(RECEIPT_ID),
                method=request.method,
                path=request.path,
                operation=operation,
                status=response.status,
                milliseconds=round(seconds * 1000, 1),
                skipped=skipped,
            )
        return response

    return observe
