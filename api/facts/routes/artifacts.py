"""Routes of artifacts."""

from api.facts.handlers import artifacts
from api.http.calls import Route, scoped, tagged
from api.http.paths import V1
from domain.identity.permissions import Permission

ROUTES = tagged(
    "Artifacts",
    *scoped(
        Route(
            "POST",
            f"{V1}/trails/{{trail_id}}/artifacts",
            artifacts.report_artifact,
            Permission.FACTS_REPORT,
            status=201,
        ),
        Route("GET", f"{V1}/trails/{{trail_id}}/artifacts", artifacts.list_trail_artifacts, Permission.FACTS_READ),
        Route("GET", f"{V1}/artifacts", artifacts.list_artifacts, Permission.FACTS_READ),
    ),
)
