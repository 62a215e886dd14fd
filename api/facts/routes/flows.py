"""Routes of flows."""

from api.facts.handlers import flows
from api.facts.schemas.flows import FlowOut, FlowsQuery
from api.http.calls import Route, scoped, tagged
from api.http.paths import V1
from api.http.resources import Resource
from domain.identity.permissions import Permission
from storage.facts.queries.flows import get_flow, list_flows

FLOWS = f"{V1}/flows"
FLOW = f"{FLOWS}/{{flow_id}}"

_FLOWS = Resource("flow", "flows", FLOWS, FlowOut, read=Permission.FACTS_READ, manage=Permission.FACTS_MANAGE)

ROUTES = tagged(
    "Flows",
    Route("POST", FLOWS, flows.create_flow, Permission.FACTS_MANAGE, status=201, errors=(404, 409)),
    *scoped(
        _FLOWS.list(list_flows, "List the flows, oldest first.", parameters=FlowsQuery),
        _FLOWS.get(
            get_flow,
            """Get a flow.

            The ETag is the version. A change that sends it as `If-Match` fails with 412 if the flow has changed since.
            """,
        ),
        Route("PUT", FLOW, flows.update_flow, Permission.FACTS_MANAGE, errors=(409, 412)),
        _FLOWS.delete(
            flows.archive_ungoverned_flow,
            """Archive a flow and release its name.

            A flow that has trails, webhook configs or deployment policies cannot be archived. Its versions and their
            ledger entries are kept.
            """,
            errors=(409, 412),
        ),
        Route("GET", f"{FLOW}/template", flows.get_flow_template, Permission.FACTS_READ, produces=flows.YAML),
    ),
)
