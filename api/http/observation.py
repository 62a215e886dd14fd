"""One line and a few numbers for every request, after its answer: aiohttp's access log would halve the front door."""

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
"""Successful requests logged in one second; failures are logged always."""
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
    """How many lines this second may still have."""

    def __init__(self) -> None:
        self._second = 0
        self._left = 0
        self._skipped = 0

    def take(self, now: float) -> int | None:
        """None to stay silent, else how many lines were skipped since the last one."""
        if int(now) != self._second:
            self._second, self._left = int(now), LINES_PER_SECOND
        if not self._left:
            self._skipped += 1
            return None
        self._left -= 1
        skipped, self._skipped = self._skipped, 0
        return skipped


def observer() -> Middleware:
    """The outermost middleware."""
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
