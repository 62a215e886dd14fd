"""Paths of flows (facts.md 4.2)."""

from api.facts.handlers import flows
from api.http.calls import Route, tagged
from api.http.paths import V1
from domain.identity.permissions import Permission

ROUTES = tagged(
    "Flows",
    Route("POST", f"{V1}/flows", flows.create_flow, Permission.FACTS_MANAGE, status=201, errors=(404, 409)),
    Route("GET", f"{V1}/flows", flows.list_flows, Permission.FACTS_READ),
    Route("GET", f"{V1}/flows/{{flow_id}}", flows.get_flow, Permission.FACTS_READ),
    Route("PUT", f"{V1}/flows/{{flow_id}}", flows.update_flow, Permission.FACTS_MANAGE, errors=(409, 412)),
    Route("DELETE", f"{V1}/flows/{{flow_id}}", flows.delete_flow, Permission.FACTS_MANAGE, errors=(409, 412)),
    Route(
        "GET",
        f"{V1}/flows/{{flow_id}}/template",
        flows.get_flow_template,
        Permission.FACTS_READ,
        produces=flows.YAML,
    ),
)
