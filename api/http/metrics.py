"""Metrics of the HTTP layer."""

from prometheus_client import Counter, Histogram

REQUESTS = Counter("trailgate_requests", "Requests answered", ["operation", "status"])
SECONDS = Histogram(
    "trailgate_request_seconds",
    "Time to answer",
    ["operation"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
DENIED = Counter("trailgate_denied", "Requests denied, by status and reason", ["status", "reason"])
REFUSED = Counter("trailgate_connections_refused", "Connections refused, by the limit", ["limit"])
RATE_LIMITED = Counter("trailgate_rate_limited", "Requests refused by a rate limit", ["limit"])
TIMED_OUT = Counter("trailgate_connections_timed_out", "Connections ended, by what they kept waiting for", ["what"])
