"""Flows (facts.md 4.2)."""

from uuid import UUID

from aiohttp import web

from api.facts.schemas.flows import (
    FlowChangeIn,
    FlowIn,
    FlowOut,
    FlowsQuery,
    TemplateOut,
)
from api.facts.templates import compiled_template
from api.http.accept import prefers
from api.http.calls import Call, Preview, Reply
from api.http.dry_runs import DryRun, WouldCreate, WouldDelete, WouldUpdate, created, deleted, updated
from api.http.organisation import check_org_slug
from api.http.paging import list_headers
from api.http.versions import IfMatch, etag, expected_versions
from domain.facts.templates import written_template
from storage.facts.commands import flows as commands
from storage.facts.queries import flows as queries

YAML = "application/yaml"
"""RFC 9512."""


async def create_flow(
    call: Call, body: FlowIn, dry_run: DryRun = False
) -> FlowOut | Reply[FlowOut] | Preview[WouldCreate[FlowOut]]:
    """Define a flow.

    A flow names a delivery process and the evidence that every run of it must carry: a list of types, or a template.
    """
    check_org_slug(call, body.org_slug)
    caller = call.caller
    new = body.flow(await compiled_template(body.template_yaml))
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        flow = await commands.create_flow(tx, call.tenant, new, call.actor)
    made = FlowOut.of(flow, caller.org_slug)
    return created(made, dry_run=True) if dry_run else Reply(made, headers=etag(made.version))


async def list_flows(call: Call, query: FlowsQuery) -> Reply[list[FlowOut]]:
    """List the flows, oldest first.

    The total stands in X-Total-Count, the way to the next page in Link.
    """
    caller = call.caller
    async with call.services.database.read() as reader:
        page = await queries.list_flows(reader, call.tenant, query.window(), name=query.name)
    return Reply([FlowOut.of(flow, caller.org_slug) for flow in page.items], headers=list_headers(call.request, page))


async def get_flow(call: Call, flow_id: UUID) -> Reply[FlowOut]:
    """Read one flow.

    Its ETag is its version; a change that carries it in If-Match is made to this version or not at all.
    """
    async with call.services.database.read() as reader:
        flow = FlowOut.of(await queries.get_flow(reader, call.tenant, flow_id), call.caller.org_slug)
    return Reply(flow, headers=etag(flow.version))


async def update_flow(
    call: Call, flow_id: UUID, body: FlowChangeIn, dry_run: DryRun = False, if_match: IfMatch = None
) -> FlowOut | Reply[FlowOut] | Preview[WouldUpdate[FlowOut]]:
    """Change a flow.

    Every change makes a version. Trails that exist keep the one they were opened with; what changes nothing makes none.
    """
    check_org_slug(call, body.org_slug)
    caller = call.caller
    change = body.change(await compiled_template(body.template_yaml))
    actor, expected = call.actor, expected_versions(if_match)
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        flow = await commands.update_flow(tx, call.tenant, flow_id, change, actor, expected=expected)
    changed = FlowOut.of(flow, caller.org_slug)
    return updated(changed, dry_run=True) if dry_run else Reply(changed, headers=etag(changed.version))


async def delete_flow(
    call: Call, flow_id: UUID, dry_run: DryRun = False, if_match: IfMatch = None
) -> Preview[WouldDelete[FlowOut]] | None:
    """Put a flow away and free its name.

    Refused while the flow has trails or webhook configs. Its versions and their seals stay.
    """
    caller = call.caller
    actor, expected = call.actor, expected_versions(if_match)
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        flow = await commands.archive_flow(tx, call.tenant, flow_id, actor, expected=expected)
    return deleted(FlowOut.of(flow, caller.org_slug), dry_run=dry_run)


async def get_flow_template(call: Call, flow_id: UUID) -> web.Response:
    """Read the template of a flow as YAML.

    The text as it was sent; for a flow without a template, one that asks for the same. With `Accept: application/json`
    the answer is an object: `flowId`, `templateYaml` and the parsed `effectiveTemplate`, null where there is none.
    """
    async with call.services.database.read() as reader:
        flow = await queries.get_flow(reader, call.tenant, flow_id)
    vary = {"Vary": "Accept"}
    if prefers(call.request, "application/json", to=YAML):
        envelope = TemplateOut.of(flow).model_dump_json(by_alias=True).encode()
        return web.Response(body=envelope, content_type="application/json", headers=vary)
    return web.Response(text=flow.template_text or written_template(flow), content_type=YAML, headers=vary)
