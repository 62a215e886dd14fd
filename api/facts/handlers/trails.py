"""Trails (facts.md 5.2)."""

import os
from uuid import UUID

from api.facts.schemas.trails import CiHeader, FlowTrailsQuery, TrailIn, TrailOut, TrailsQuery
from api.facts.templates import compiled_template
from api.http.calls import Call, Preview, Reply
from api.http.dry_runs import DryRun, WouldCreate, created
from api.http.organisation import check_org_slug
from api.http.paging import PageOut, list_headers, page_out
from domain.facts.ci import ci_context
from storage.facts.commands import trails as commands
from storage.facts.queries import trails as queries
from storage.facts.queries.flows import get_flow


async def create_trail(
    call: Call, body: TrailIn, dry_run: DryRun = False, ci: CiHeader = None
) -> TrailOut | Preview[WouldCreate[TrailOut]]:
    """Open a trail.

    A trail is one execution of a flow, usually one build. It is pinned to the flow as it stands now.
    """
    check_org_slug(call, body.org_slug)
    caller = call.caller
    tenant, actor = call.tenant, call.actor
    # Never both: what two runs tell must not end in one record.
    context = ci_context(ci or "", body.ci_environment or os.environ)
    template = await compiled_template(body.template_yaml)
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        await get_flow(tx, tenant, body.flow_id)  # an unknown flow is told before anything missing
        [trail] = await commands.open_trails(tx, tenant, [body.trail(actor, context, template)])
    return created(TrailOut.of(trail, caller.org_slug), dry_run=dry_run)


async def list_trails(call: Call, query: TrailsQuery) -> Reply[list[TrailOut]]:
    """List trails, oldest first.

    Of one flow, commit, status or name where given; an unknown flow has none.
    """
    caller = call.caller
    async with call.services.database.read() as reader:
        page = await queries.list_trails(
            reader,
            call.tenant,
            query.window(),
            flow_id=query.flow_id,
            commit=query.git_commit_sha,
            status=query.trail_status,
            name=query.name,
        )
    items = [TrailOut.of(trail, caller.org_slug) for trail in page.items]
    return Reply(items, headers=list_headers(call.request, page))


async def get_trail(call: Call, trail_id: UUID) -> TrailOut:
    """Read one trail with its status.

    The status is judged anew after every fact: any newest FAILED makes it NON_COMPLIANT, all required types PASSED
    make it COMPLIANT, else it is PENDING.
    """
    async with call.services.database.read() as reader:
        return TrailOut.of(await queries.get_trail(reader, call.tenant, trail_id), call.caller.org_slug)


async def list_flow_trails(call: Call, flow_id: UUID, query: FlowTrailsQuery) -> Reply[PageOut[TrailOut]]:
    """List the trails of a flow as a page object, oldest first."""
    caller = call.caller
    async with call.services.database.read() as reader:
        page = await queries.list_flow_trails(
            reader, call.tenant, flow_id, query.window(), status=query.trail_status, name=query.name
        )
    body = page_out(page, lambda trail: TrailOut.of(trail, caller.org_slug))
    return Reply(body, headers=list_headers(call.request, page))
