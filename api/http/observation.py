"""Access log and metrics of every request; aiohttp's own access log would halve the webhook receiver's throughput."""

import time
from functools import cache

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import Counter, Histogram

from api.http import metrics
from api.http.binding import OPERATION
from api.http.calls import PROVEN, RECEIPT_ID, REQUEST_ID
from api.http.sampling import Sampler

LINES_PER_SECOND = 50
"""Requests logged per second. Server errors of known callers are always logged, errors of others more rarely."""
ERRORS_PER_SECOND = 5
REFUSED, FAILED = 400, 500
UNROUTED = "unrouted"

log = structlog.get_logger()


@cache
def _requests(operation: str, status: int) -> Counter:
    return metrics.REQUESTS.labels(operation, str(status))


@cache
def _seconds(operation: str) -> Histogram:
    return metrics.SECONDS.labels(operation)


def observer() -> Middleware:
    """Return the middleware that logs and measures requests; it must be the outermost one."""
    usual = Sampler(LINES_PER_SECOND, LINES_PER_SECOND)
    unproven_errors = Sampler(ERRORS_PER_SECOND, LINES_PER_SECOND)

    def skipped_before(request: web.Request, status: int) -> int | None:
        """Return None when the request must not be logged, otherwise the number of those skipped before it."""
        if status >= REFUSED and not request.get(PROVEN):
            return unproven_errors.take()
        return usual.take() if status < FAILED else 0

    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.perf_counter()
        response = await handler(request)
        seconds = time.perf_counter() - started
        operation = request.get(OPERATION, UNROUTED)
        _requests(operation, response.status).inc()
        _seconds(operation).observe(seconds)
        skipped = skipped_before(request, response.status)
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
