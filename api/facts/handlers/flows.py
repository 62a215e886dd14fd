"""Handlers of flows that compile or return a template; the routes define the other operations."""

import asyncio
from collections.abc import Collection
from uuid import UUID

from aiohttp import web

from api.facts.schemas.flows import FlowChangeIn, FlowIn, FlowOut, TemplateOut
from api.facts.templates import compiled_template
from api.http.accept import prefers
from api.http.calls import Call
from api.http.dry_runs import Created, DryRun, Updated, created, updated
from api.http.organisation import check_org_slug
from api.http.versions import IfMatch, expected_versions
from domain.audit.events import Actor
from domain.facts.flows import Flow
from domain.facts.templates import written_template
from domain.tenant import Tenant
from storage.database import Transaction
from storage.facts.commands import flows as commands
from storage.facts.queries.flows import get_flow
from storage.gates.queries.policies import check_ungoverned

YAML = "application/yaml"
"""The media type of YAML (RFC 9512)."""


async def create_flow(call: Call, body: FlowIn, dry_run: DryRun = False) -> Created[FlowOut]:
    """Create a flow.

    A flow is a delivery process and the evidence that every run of it needs: a list of attestation types, or a
    template.
    """
    check_org_slug(call, body.org_slug)
    new = body.to_command(await compiled_template(body.template_yaml))
    async with call.transaction(dry_run=dry_run) as tx:
        flow = await commands.create_flow(tx, call.tenant, new, call.actor)
    return created(FlowOut.of(flow, call), dry_run=dry_run)


async def update_flow(
    call: Call, flow_id: UUID, body: FlowChangeIn, dry_run: DryRun = False, if_match: IfMatch = None
) -> Updated[FlowOut]:
    """Update a flow.

    Every change creates a new version; a request that changes nothing does not. Existing trails keep the version with
    which they were created.
    """
    check_org_slug(call, body.org_slug)
    change = body.to_command(await compiled_template(body.template_yaml))
    expected = expected_versions(if_match)
    async with call.transaction(dry_run=dry_run) as tx:
        flow = await commands.update_flow(tx, call.tenant, flow_id, change, call.actor, expected=expected)
    return updated(FlowOut.of(flow, call), dry_run=dry_run)


async def get_flow_template(call: Call, flow_id: UUID) -> web.Response:
    """Get the template of a flow as YAML.

    Returns the text as it was sent. For a flow without a template, the response is a template that requires the same
    evidence. With `Accept: application/json` the response is an object with `flowId`, `templateYaml` and the parsed
    `effectiveTemplate`; the last two are null for a flow without a template.
    """
    async with call.read() as reader:
        flow = await get_flow(reader, call.tenant, flow_id)
    vary = {"Vary": "Accept"}
    if prefers(call.request, "application/json", to=YAML):
        envelope = await asyncio.to_thread(TemplateOut.of, flow, call)  # parses the text again
        body = envelope.model_dump_json(by_alias=True).encode()
        return web.Response(body=body, content_type="application/json", headers=vary)
    return web.Response(text=flow.template_text or written_template(flow), content_type=YAML, headers=vary)


async def archive_ungoverned_flow(
    tx: Transaction, tenant: Tenant, flow_id: UUID, actor: Actor, *, expected: Collection[int] | None = None
) -> Flow:
    """Archive a flow. Raises NotFound, Stale, and Conflict for one that has trails, webhook configs or policies."""
    archived = await commands.archive_flow(tx, tenant, flow_id, actor, expected=expected)
    await check_ungoverned(tx, tenant, flow_id)
    return archived
