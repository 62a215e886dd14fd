"""Flows (facts.md 4.2)."""

from uuid import UUID

from api.authentication import actor_of, scope_of
from api.calls import Call, Preview, Reply
from api.facts.organisation import check_org_slug
from api.facts.schemas.dry_runs import DryRun, WouldCreate, created
from api.facts.schemas.flows import FlowIn, FlowOut
from api.facts.schemas.paging import ListQuery, list_headers
from storage.facts.commands import flows as commands
from storage.facts.queries import flows as queries


async def create_flow(call: Call, body: FlowIn, dry_run: DryRun = False) -> FlowOut | Preview[WouldCreate[FlowOut]]:
    """Define a flow.

    A flow names a delivery process and the types of evidence that every run of it must carry.
    """
    check_org_slug(call, body.org_slug)
    caller = call.caller
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        flow = await commands.create_flow(
            tx, scope_of(caller), body.flow(), actor_of(call.request, caller, call.request_id)
        )
    return created(FlowOut.of(flow, caller.org_slug), dry_run=dry_run)


async def list_flows(call: Call, query: ListQuery) -> Reply[list[FlowOut]]:
    """List the flows, oldest first.

    The total stands in X-Total-Count, the way to the next page in Link.
    """
    caller = call.caller
    async with call.services.database.read() as reader:
        page = await queries.list_flows(reader, scope_of(caller), query.window())
    return Reply([FlowOut.of(flow, caller.org_slug) for flow in page.items], headers=list_headers(call.request, page))


async def get_flow(call: Call, flow_id: UUID) -> FlowOut:
    """Read one flow."""
    async with call.services.database.read() as reader:
        return FlowOut.of(await queries.get_flow(reader, scope_of(call.caller), flow_id), call.caller.org_slug)
