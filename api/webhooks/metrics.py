"""Metrics of the webhook receiver."""

from prometheus_client import Counter

ACCEPTED = Counter("trailgate_webhooks_accepted", "Deliveries committed to the inbox", ["source", "kind"])
REFUSED = Counter("trailgate_webhooks_refused", "Deliveries refused, by reason", ["source", "reason"])
