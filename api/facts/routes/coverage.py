"""Routes of test coverage."""

from api.facts.handlers import coverage
from api.http.calls import Route, scoped, tagged
from api.http.paths import V1
from domain.identity.permissions import Permission

ROUTES = tagged(
    "Coverage",
    *scoped(
        Route(
            "POST",
            f"{V1}/trails/{{trail_id}}/coverage",
            coverage.report_coverage,
            Permission.FACTS_REPORT,
            status=201,
            errors=(503,),
        ),
        Route("GET", f"{V1}/trails/{{trail_id}}/coverage", coverage.list_coverage, Permission.FACTS_READ),
    ),
)
