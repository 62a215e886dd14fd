"""Routes for operators: health checks and metrics."""

from api.http.calls import Route, tagged
from api.monitoring import health

ROUTES = tagged(
    "Operations",
    Route("GET", "/health/live", health.live, None),
    Route("GET", "/health/ready", health.ready, None, errors=(503,)),
    Route("GET", "/ready", health.kosli_ready, None, errors=(503,)),
    Route("GET", "/actuator/health", health.actuator_health, None, errors=(503,)),
    Route("GET", "/metrics", health.prometheus, None, produces="text/plain"),
)
PROBES = frozenset(route.path for route in ROUTES)
"""Paths that probes and scrapers ask at the address of a container, whatever the server's name."""
