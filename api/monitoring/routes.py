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
