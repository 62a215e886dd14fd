"""Routes of approvals. Who reports may request one; to decide takes the right, and the approval's own rule besides."""

from api.gates.handlers import approvals
from api.http.calls import Route, scoped, tagged
from api.http.paths import V1
from domain.identity.permissions import Permission

_OF_TRAIL = f"{V1}/trails/{{trail_id}}/approvals"
_APPROVALS = f"{V1}/approvals"
_APPROVAL = f"{_APPROVALS}/{{approval_id}}"
_DECIDE, _OVERRIDE = Permission.APPROVALS_DECIDE, Permission.APPROVALS_OVERRIDE

ROUTES = tagged(
    "Approvals",
    *scoped(
        Route("POST", _OF_TRAIL, approvals.request_approval, Permission.FACTS_REPORT, status=201),
        Route("GET", _OF_TRAIL, approvals.list_trail_approvals, Permission.FACTS_READ),
        Route("GET", _APPROVALS, approvals.list_approvals, Permission.FACTS_READ),
        Route("GET", f"{_APPROVALS}/break-glass", approvals.list_break_glass_approvals, Permission.FACTS_READ),
        Route("GET", _APPROVAL, approvals.get_approval, Permission.FACTS_READ),
        Route("POST", f"{_APPROVAL}/approve", approvals.grant_approval, _DECIDE, errors=(409,)),
        Route("POST", f"{_APPROVAL}/reject", approvals.reject_approval, _DECIDE, errors=(409,)),
        Route("POST", f"{_APPROVAL}/break-glass", approvals.override_approval, _OVERRIDE, errors=(409,)),
    ),
)
