"""The paths of the audit and the ledger."""

from api.audit.routes import audit, ledger

ROUTES = (*ledger.ROUTES, *audit.ROUTES)
