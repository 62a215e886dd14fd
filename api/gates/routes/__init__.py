"""Routes of the gate, with the permission that each one needs. The most frequent routes come first."""

from api.gates.routes import approvals, gate, opa, policies, security_scans, security_thresholds

ROUTES = (
    *gate.ROUTES,
    *security_scans.ROUTES,
    *approvals.ROUTES,
    *opa.ROUTES,
    *policies.ROUTES,
    *security_thresholds.ROUTES,
)
