"""Routes of security scans."""

from api.gates.handlers import security_scans
from api.http.calls import Route, scoped, tagged
from api.http.paths import V1
from domain.identity.permissions import Permission

_OF_TRAIL = f"{V1}/trails/{{trail_id}}/security-scans"

ROUTES = tagged(
    "Security scans",
    *scoped(
        Route(
            "POST",
            _OF_TRAIL,
            security_scans.record_security_scan,
            Permission.FACTS_REPORT,
            status=201,
            errors=(409, 422, 503),
            prepare=security_scans.read_report,
        ),
        Route("GET", _OF_TRAIL, security_scans.list_trail_security_scans, Permission.FACTS_READ),
        Route("GET", f"{V1}/security-scans", security_scans.list_security_scans, Permission.FACTS_READ),
        Route(
            "GET",
            f"{V1}/security-scans/summary",
            security_scans.summarise_security_scans,
            Permission.FACTS_READ,
            errors=(404,),
        ),
        Route(
            "GET", f"{V1}/security-scans/{{security_scan_id}}", security_scans.get_security_scan, Permission.FACTS_READ
        ),
    ),
)
