"""Reading trails."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from domain.facts.commits import is_abbreviated, is_whole
from domain.facts.trails import Trail, TrailStatus
from domain.tenant import Tenant
from storage.batches import Rows
from storage.database import Reader
from storage.facts.queries.flows import get_flow
from storage.paging import Listing, Page, Window

_TRAILS = Listing.plain(Trail, "trails", "trail")


async def get_trail(reader: Reader, tenant: Tenant, trail_id: UUID) -> Trail:
    """One trail. Raises NotFound, also for another organisation's."""
    return await _TRAILS.get(reader, tenant, trail_id)


async def list_trails(
    reader: Reader,
    tenant: Tenant,
    window: Window,
    *,
    flow_id: UUID | None = None,
    commit: str | None = None,
    status: TrailStatus | None = None,
    name: str | None = None,
) -> Page[Trail]:
    """Trails, oldest first, narrowed to what is given; an unknown flow has none. Names are unique inside a flow."""
    return await _TRAILS.page(
        reader,
        tenant,
        window,
        within={"flow_id = {}": flow_id} if flow_id else {},
        filters={"git_commit_sha = {}": commit, "status = {}": status, "name = {}": name},
        counter=("trails", flow_id) if flow_id else None,
    )


async def list_flow_trails(
    reader: Reader,
    tenant: Tenant,
    flow_id: UUID,
    window: Window,
    *,
    status: TrailStatus | None = None,
    name: str | None = None,
) -> Page[Trail]:
    """The trails of a flow that must exist. Raises NotFound."""
    await get_flow(reader, tenant, flow_id)
    return await list_trails(reader, tenant, window, flow_id=flow_id, status=status, name=name)


_COMMITS = Rows({"flow_id": "uuid", "commit": "text", "last": "text"})
_OF_COMMITS = f"""
SELECT wanted.flow_id, wanted.commit, found.id
FROM {_COMMITS.source("wanted", 2)}
CROSS JOIN LATERAL (
  WITH named AS MATERIALIZED (
    SELECT id, flow_id, created_at FROM trails
    WHERE org_id = $1 AND git_commit_sha BETWEEN wanted.commit AND wanted.last
  )
  SELECT id FROM named WHERE flow_id = wanted.flow_id ORDER BY created_at DESC, id DESC LIMIT 1
) found
"""
"""By the commit first, and MATERIALIZED to keep it so: the planner would else walk the trails of the flow from the
newest on, which is all of them for a commit that has none."""


async def newest_trails_of_commits(
    reader: Reader, tenant: Tenant, wanted: Iterable[tuple[UUID, str]]
) -> dict[tuple[UUID, str], UUID]:
    """For each (flow, commit) that has a trail, the newest one's id. An abbreviated commit finds what it begins."""
    asked = [{"flow_id": flow, "commit": commit, "last": _last_of(commit)} for flow, commit in wanted]
    rows = await reader.rows(_OF_COMMITS, tenant.org_id, *_COMMITS.arrays(asked)) if asked else []
    return {(row["flow_id"], row["commit"]): row["id"] for row in rows}


_WHOLE = Rows({"flow_id": "uuid", "commit": "text"})
_OF_ABBREVIATIONS = f"""
SELECT wanted.flow_id, wanted.commit, found.id
FROM {_WHOLE.source("wanted", 2)}
CROSS JOIN LATERAL (
  WITH named AS MATERIALIZED (
    SELECT id, flow_id, created_at FROM trails
    WHERE org_id = $1 AND git_commit_sha BETWEEN left(wanted.commit, 7) AND left(wanted.commit, 12)
      AND starts_with(wanted.commit, git_commit_sha)
  )
  SELECT id FROM named WHERE flow_id = wanted.flow_id ORDER BY created_at DESC, id DESC LIMIT 1
) found
"""
"""One range holds every beginning of 7 to 12 digits, and next to nothing else."""


async def newest_trails_of_abbreviations(
    reader: Reader, tenant: Tenant, wanted: Iterable[tuple[UUID, str]]
) -> dict[tuple[UUID, str], UUID]:
    """For each (flow, whole commit) the newest trail that knows it by its first 7 to 12 digits, as some senders do."""
    asked = [{"flow_id": flow, "commit": commit} for flow, commit in wanted if is_whole(commit)]
    rows = await reader.rows(_OF_ABBREVIATIONS, tenant.org_id, *_WHOLE.arrays(asked)) if asked else []
    return {(row["flow_id"], row["commit"]): row["id"] for row in rows}


def _last_of(commit: str) -> str:
    """The end of the range of commits that this one may stand for."""
    return commit + "g" if is_abbreviated(commit) else commit  # g: the first letter behind the digits


async def flows_of_trails(reader: Reader, tenant: Tenant, trail_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """The flow of each trail that exists."""
    rows = await reader.rows(
        "SELECT id, flow_id FROM trails WHERE org_id = $1 AND id = ANY($2::uuid[])", tenant.org_id, trail_ids
    )
    return {row["id"]: row["flow_id"] for row in rows}
