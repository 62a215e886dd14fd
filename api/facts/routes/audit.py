"""Paths of the audit trail (facts.md 17.1)."""

from api.calls import Route, tagged
from api.facts.handlers import audit
from api.facts.routes.paths import V1
from domain.permissions import Permission

ROUTES = tagged(
    "Audit",
    Route("GET", f"{V1}/audit", audit.list_audit_events, Permission.AUDIT_READ, errors=(404,)),
    Route("GET", f"{V1}/audit/{{event_id}}", audit.get_audit_event, Permission.AUDIT_READ),
)
