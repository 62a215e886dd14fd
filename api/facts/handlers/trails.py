"""Trails (facts.md 5.2)."""

from uuid import UUID

from api.authentication import actor_of, scope_of
from api.calls import Call, Preview, Reply
from api.facts.organisation import check_org_slug
from api.facts.schemas.dry_runs import DryRun, WouldCreate, created
from api.facts.schemas.paging import PageOut, PageQuery, list_headers, page_out
from api.facts.schemas.trails import TrailIn, TrailOut, TrailsQuery
from storage.facts.commands import trails as commands
from storage.facts.queries import trails as queries


async def create_trail(call: Call, body: TrailIn, dry_run: DryRun = False) -> TrailOut | Preview[WouldCreate[TrailOut]]:
    """Open a trail.

    A trail is one execution of a flow, usually one build. It is pinned to the flow as it stands now.
    """
    check_org_slug(call, body.org_slug)
    caller = call.caller
    new = body.trail(actor_of(call.request, caller, call.request_id))
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        [trail] = await commands.open_trails(tx, scope_of(caller), [new])
    return created(TrailOut.of(trail, caller.org_slug), dry_run=dry_run)


async def list_trails(call: Call, query: TrailsQuery) -> Reply[list[TrailOut]]:
    """List trails, oldest first.

    Of one flow or one commit where named; an unknown flow has none.
    """
    caller = call.caller
    async with call.services.database.read() as reader:
        page = await queries.list_trails(
            reader, scope_of(caller), query.window(), flow_id=query.flow_id, commit=query.git_commit_sha
        )
    items = [TrailOut.of(trail, caller.org_slug) for trail in page.items]
    return Reply(items, headers=list_headers(call.request, page))


async def get_trail(call: Call, trail_id: UUID) -> TrailOut:
    """Read one trail with its status.

    The status is judged anew after every fact: any newest FAILED makes it NON_COMPLIANT, all required types PASSED
    make it COMPLIANT, else it is PENDING.
    """
    async with call.services.database.read() as reader:
        return TrailOut.of(await queries.get_trail(reader, scope_of(call.caller), trail_id), call.caller.org_slug)


async def list_flow_trails(call: Call, flow_id: UUID, query: PageQuery) -> Reply[PageOut[TrailOut]]:
    """List the trails of a flow as a page object, oldest first."""
    caller = call.caller
    async with call.services.database.read() as reader:
        page = await queries.list_flow_trails(reader, scope_of(caller), flow_id, query.window())
    body = page_out(page, lambda trail: TrailOut.of(trail, caller.org_slug))
    return Reply(body, headers=list_headers(call.request, page))
