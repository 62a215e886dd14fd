"""What this process counts, and what /metrics reads from Postgres when it is asked (facts.md 22)."""

from prometheus_client import Counter, Gauge, Histogram

ACCEPTED = Counter("trailgate_webhooks_accepted", "Deliveries committed to the inbox", ["source", "kind"])
REFUSED = Counter("trailgate_webhooks_refused", "Deliveries refused, by reason", ["source", "reason"])
REQUESTS = Counter("trailgate_requests", "Requests answered", ["operation", "status"])
SECONDS = Histogram(
    "trailgate_request_seconds",
    "Time to answer",
    ["operation"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
DENIED = Counter("trailgate_denied", "Requests denied, by status", ["status"])
INBOX = Gauge("trailgate_inbox_waiting", "Deliveries accepted and not settled")
INBOX_AGE = Gauge("trailgate_inbox_oldest_seconds", "How long the oldest due delivery has been due")
DEAD = Gauge("trailgate_dead_letters", "Deliveries that failed for good (counted up to 10,000)")
UNSEALED = Gauge("trailgate_unsealed_events", "Audit events waiting for the ledger (counted up to 10,000)")
SEAL_LAG = Gauge("trailgate_seal_lag_seconds", "Age of the oldest unsealed audit event")
WRITERS_DEPTH = Gauge("trailgate_writer_waiting", "Items waiting for a group commit in this process", ["writer"])
