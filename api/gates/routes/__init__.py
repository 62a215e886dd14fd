"""Routes of the gate, with the permission that each one needs."""

from api.gates.routes import security_scans, security_thresholds

ROUTES = (
    *security_scans.ROUTES,
    *security_thresholds.ROUTES,
)
