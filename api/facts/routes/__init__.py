"""The paths of facts: the only place that knows them and the right each one needs.

Hot routes stand first: below a variable the router tries its patterns in order.
"""

from api.facts.routes import (
    artifacts,
    assertions,
    attestations,
    collection,
    coverage,
    evidence,
    flows,
    provenance,
    provenance_keys,
    receipts,
    trails,
    webhook_configs,
)

ROUTES = (
    *attestations.ROUTES,
    *artifacts.ROUTES,
    *assertions.ROUTES,
    *evidence.ROUTES,
    *trails.ROUTES,
    *receipts.ROUTES,
    *coverage.ROUTES,
    *collection.ROUTES,
    *flows.ROUTES,
    *provenance.ROUTES,
    *provenance_keys.ROUTES,
    *webhook_configs.ROUTES,
)
