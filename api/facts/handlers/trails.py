"""Handlers of trails."""

from uuid import UUID

from api.facts.schemas.trails import CiHeader, FlowTrailsQuery, TrailIn, TrailOut, TrailsQuery
from api.facts.templates import compiled_template
from api.http.calls import Call, Reply
from api.http.dry_runs import Created, DryRun, created
from api.http.organisation import check_org_slug
from api.http.paging import PageOut, list_reply, page_reply
from domain.facts.ci import ci_context
from storage.facts.commands import trails as commands
from storage.facts.queries import trails as queries
from storage.settings import environment


async def create_trail(call: Call, body: TrailIn, dry_run: DryRun = False, ci: CiHeader = None) -> Created[TrailOut]:
    """Create a trail.

    A trail is one run of a flow, usually one build. It keeps the version that the flow has now.
    """
    check_org_slug(call, body.org_slug)
    # Either the client's or the server's variables: data of two CI runs must not be mixed in one record.
    context = ci_context(ci or "", body.ci_environment or environment())
    template = await compiled_template(body.template_yaml)
    async with call.transaction(dry_run=dry_run) as tx:
        # report an unknown flow before missing git data
        await commands.check_flow(tx, call.tenant, body.flow_id, body.repository(context))
        new = body.to_command(call.actor, context, template)
        [trail] = await commands.open_trails(tx, call.tenant, [new])
    return created(TrailOut.of(trail, call), dry_run=dry_run)


async def list_trails(call: Call, query: TrailsQuery) -> Reply[list[TrailOut]]:
    """List the trails, oldest first.

    The list can be filtered by flow, commit, status and name; it is empty for an unknown flow.
    """
    async with call.read() as reader:
        page = await queries.list_trails(reader, call.tenant, query.window(), **query.to_filters())
    return list_reply(call, page, TrailOut)


async def get_trail(call: Call, trail_id: UUID) -> TrailOut:
    """Get a trail with its status.

    The status is evaluated after every fact. The trail is NON_COMPLIANT if any latest result is FAILED or its approval
    was rejected, COMPLIANT if all that is required has PASSED, and was approved where its flow requires that, otherwise
    PENDING.
    """
    async with call.read() as reader:
        return TrailOut.of(await queries.get_trail(reader, call.tenant, trail_id), call)


async def list_flow_trails(call: Call, flow_id: UUID, query: FlowTrailsQuery) -> Reply[PageOut[TrailOut]]:
    """List the trails of a flow, oldest first.

    The response is a page object.
    """
    async with call.read() as reader:
        page = await queries.list_flow_trails(reader, call.tenant, flow_id, query.window(), **query.to_filters())
    return page_reply(call, page, TrailOut)
