"""Routes of the audit trail and the ledger."""

from api.audit.routes import audit, ledger

ROUTES = (*ledger.ROUTES, *audit.ROUTES)
