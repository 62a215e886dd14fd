"""The path table of the facts surface: the only place that knows its paths and the right each one needs.

Hot routes stand first: below a variable the router tries its patterns in order (prototypes.md A5.2).
"""

from api.calls import Route
from api.facts.routes import (
    artifacts,
    assertions,
    attestations,
    audit,
    collection,
    coverage,
    doors,
    evidence,
    flows,
    ledger,
    notification_rules,
    notifications,
    operations,
    organisations,
    outbox,
    provenance,
    provenance_keys,
    trails,
    webhook_configs,
)


def routes(webhook_max_body: int) -> tuple[Route, ...]:
    """Every route of the surface. `webhook_max_body` in bytes."""
    return (
        *doors.routes(webhook_max_body),
        *attestations.ROUTES,
        *artifacts.ROUTES,
        *assertions.ROUTES,
        *evidence.ROUTES,
        *trails.ROUTES,
        *coverage.ROUTES,
        *collection.ROUTES,
        *flows.ROUTES,
        *provenance.ROUTES,
        *provenance_keys.ROUTES,
        *webhook_configs.ROUTES,
        *notification_rules.ROUTES,
        *outbox.ROUTES,
        *notifications.ROUTES,
        *ledger.ROUTES,
        *audit.ROUTES,
        *organisations.ROUTES,
        *operations.ROUTES,
    )


EXEMPT = frozenset(
    {
        "receive_config_webhook",  # proves itself by its signature
        "receive_webhook",
        "live",
        "ready",
        "kosli_ready",
        "actuator_health",
        "prometheus",
    }
)
"""Handlers that need no credential (ARCHITECTURE.md 4.2)."""
