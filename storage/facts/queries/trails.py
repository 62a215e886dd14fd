"""Reading trails."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from domain.errors import NotFound
from domain.facts.commits import is_abbreviated, is_whole
from domain.facts.trails import Trail, TrailStatus
from storage.counters import total
from storage.database import Reader, columns_of
from storage.facts.queries.flows import get_flow
from storage.paging import Listing, Page, Window, capped_count, equalities, fetch_page, with_total
from storage.tenant import Tenant

TRAIL_COLUMNS = tuple(Trail.__dataclass_fields__)

_TRAILS = f"SELECT {', '.join(TRAIL_COLUMNS)} FROM trails"  # noqa: S608 - names of our own
_LISTING = Listing(_TRAILS, "created_at", "id", lambda row: Trail(**row))


async def get_trail(reader: Reader, tenant: Tenant, trail_id: UUID) -> Trail:
    """One trail. Raises NotFound, also for another organisation's."""
    row = await reader.row(f"{_TRAILS} WHERE org_id = $1 AND id = $2", tenant.org_id, trail_id)
    if row is None:
        raise NotFound(f"There is no trail {trail_id}.")
    return Trail(**row)


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
    filters = {"flow_id": flow_id, "git_commit_sha": commit, "status": status, "name": name}
    conditions, args = equalities({"org_id": tenant.org_id, **filters})
    page = await fetch_page(reader, _LISTING, conditions, args, window)
    if flow_id is not None and args == [tenant.org_id, flow_id]:
        return with_total(page, await total(reader, tenant, "trails", flow_id))
    count, capped = await capped_count(reader, "trails", conditions, args)
    return with_total(page, count, capped=capped)


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


_OF_COMMITS = """
SELECT wanted.flow_id, wanted.first AS commit, found.id
FROM unnest($2::uuid[], $3::text[], $4::text[]) AS wanted(flow_id, first, last)
CROSS JOIN LATERAL (
  SELECT t.id FROM trails t
  WHERE t.org_id = $1 AND t.flow_id = wanted.flow_id AND t.git_commit_sha BETWEEN wanted.first AND wanted.last
  ORDER BY t.created_at DESC, t.id DESC LIMIT 1
) found
"""


async def newest_trails_of_commits(
    reader: Reader, tenant: Tenant, wanted: Sequence[tuple[UUID, str]]
) -> dict[tuple[UUID, str], UUID]:
    """For each (flow, commit) that has a trail, the newest one's id. An abbreviated commit finds what it begins."""
    flows, commits = [flow for flow, _ in wanted], [commit for _, commit in wanted]
    rows = await reader.rows(_OF_COMMITS, tenant.org_id, flows, commits, [_last_of(commit) for commit in commits])
    return {(row["flow_id"], row["commit"]): row["id"] for row in rows}


_OF_ABBREVIATIONS = """
SELECT wanted.flow_id, wanted.commit, found.id
FROM unnest($2::uuid[], $3::text[]) AS wanted(flow_id, commit)
CROSS JOIN LATERAL (
  SELECT t.id FROM trails t
  WHERE t.org_id = $1 AND t.flow_id = wanted.flow_id
    AND t.git_commit_sha = ANY(ARRAY(SELECT left(wanted.commit, digits) FROM generate_series(7, 12) AS digits))
  ORDER BY t.created_at DESC, t.id DESC LIMIT 1
) found
"""


async def newest_trails_of_abbreviations(
    reader: Reader, tenant: Tenant, wanted: Iterable[tuple[UUID, str]]
) -> dict[tuple[UUID, str], UUID]:
    """For each (flow, whole commit) the newest trail that knows it by its first 7 to 12 digits, as some senders do."""
    whole = [(flow_id, commit) for flow_id, commit in wanted if is_whole(commit)]
    rows = await reader.rows(_OF_ABBREVIATIONS, tenant.org_id, *columns_of(whole, 2)) if whole else []
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
