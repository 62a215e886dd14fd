"""Routes of trails."""

from api.facts.handlers import trails
from api.http.calls import Route, scoped, tagged
from api.http.paths import V1
from domain.identity.permissions import Permission

ROUTES = tagged(
    "Trails",
    *scoped(
        Route("POST", f"{V1}/trails", trails.create_trail, Permission.FACTS_REPORT, status=201, errors=(404, 409, 429)),
        Route("GET", f"{V1}/trails", trails.list_trails, Permission.FACTS_READ),
        Route("GET", f"{V1}/trails/{{trail_id}}", trails.get_trail, Permission.FACTS_READ),
        Route("GET", f"{V1}/flows/{{flow_id}}/trails", trails.list_flow_trails, Permission.FACTS_READ),
    ),
)
