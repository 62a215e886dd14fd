"""Routes of the audit trail."""

from api.audit.handlers import audit
from api.http.calls import Route, tagged
from api.http.paths import V1
from domain.identity.permissions import Permission

_AUDIT = tagged(
    "Audit",
    Route("GET", f"{V1}/audit", audit.list_audit_events, Permission.AUDIT_READ, errors=(404,)),
    Route("GET", f"{V1}/audit/{{event_id}}", audit.get_audit_event, Permission.AUDIT_READ),
)
_OF_A_TRAIL = tagged(
    "Trails", Route("GET", f"{V1}/trails/{{trail_id}}/audit", audit.list_trail_audit, Permission.AUDIT_READ)
)

ROUTES = (*_AUDIT, *_OF_A_TRAIL)
