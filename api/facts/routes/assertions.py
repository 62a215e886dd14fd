"""Routes of assertions and verdicts."""

from api.facts.handlers import assertions, vsa
from api.http.calls import Route, scoped, tagged
from api.http.paths import V1
from domain.identity.permissions import Permission

ROUTES = tagged(
    "Assertions",
    *scoped(
        Route("POST", f"{V1}/assert", assertions.assert_compliance, Permission.GATE_EVALUATE, errors=(404, 503)),
        Route("GET", f"{V1}/verdicts", assertions.list_verdicts, Permission.FACTS_READ),
        Route("GET", f"{V1}/verdicts/{{verdict_id}}", assertions.get_verdict, Permission.FACTS_READ),
        Route("GET", f"{V1}/verdicts/{{verdict_id}}/recompute", assertions.recompute_verdict, Permission.FACTS_READ),
        Route(
            "GET", f"{V1}/verdicts/{{verdict_id}}/vsa", vsa.get_verdict_vsa, Permission.FACTS_READ, errors=(409, 422)
        ),
    ),
)
