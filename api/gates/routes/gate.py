"""Routes of the gate."""

from api.gates.handlers import gate
from api.http.calls import Route, scoped, tagged
from api.http.paths import V1
from domain.identity.permissions import Permission

ROUTES = tagged(
    "Gate",
    *scoped(
        Route(
            "POST",
            f"{V1}/gate/evaluate",
            gate.evaluate_gate,
            Permission.GATE_EVALUATE,
            errors=(404, 503),
            prepare=gate.collect_opinions,
        ),
        Route("GET", f"{V1}/gate/results", gate.list_gate_results, Permission.FACTS_READ),
        Route("GET", f"{V1}/gate/results/{{gate_result_id}}", gate.get_gate_result, Permission.FACTS_READ),
    ),
)
