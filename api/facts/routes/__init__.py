"""Routes of facts, with the permission that each one needs.

The most frequent routes come first, as the router tries patterns below the same prefix in order.
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
