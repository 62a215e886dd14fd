"""Routes of the thresholds of security scans."""

from api.gates.handlers import security_thresholds
from api.http.calls import Route, scoped, tagged
from api.http.paths import V1
from domain.identity.permissions import Permission

_PATH = f"{V1}/flows/{{flow_id}}/security-thresholds"

ROUTES = tagged(
    "Security scans",
    *scoped(
        Route("POST", _PATH, security_thresholds.set_security_thresholds, Permission.FACTS_MANAGE, status=201),
        Route("GET", _PATH, security_thresholds.get_security_thresholds, Permission.FACTS_READ),
        Route(
            "DELETE",
            _PATH,
            security_thresholds.delete_security_thresholds,
            Permission.FACTS_MANAGE,
            errors=(412,),
        ),
    ),
)
