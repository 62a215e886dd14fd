"""Reading trails."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from domain.facts.commits import is_abbreviated, is_whole
from domain.facts.trails import Trail, TrailStatus
from domain.tenant import Tenant
from storage.batches import Rows
from storage.database import Reader
from storage.facts.queries.flows import get_flow
from storage.facts.scoping import limits_on_trail, trail_limits
from storage.paging import Limits, Listing, Page, Where, Window

_TRAILS = Listing.plain(Trail, "trails", "trail", limits=trail_limits())


def limits_of_trails(table: str) -> Limits:
    """Limit rows of another area, given by the table or its alias, that have a `trail_id` and its `flow_id`."""
    return limits_on_trail(table, flow_id=True)


async def get_trail(reader: Reader, tenant: Tenant, trail_id: UUID) -> Trail:
    """Return one trail. Raises NotFound, also for another organisation's."""
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
    """List trails, oldest first, filtered by the given values; an unknown flow has none."""
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
    """List the trails of a flow. Raises NotFound for the flow."""
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
"""MATERIALIZED makes PostgreSQL search by commit first: otherwise it may scan the trails of the flow from the newest,
which reads all of them for a commit without a trail."""


async def newest_trails_of_commits(
    reader: Reader, tenant: Tenant, wanted: Iterable[tuple[UUID, str]]
) -> dict[tuple[UUID, str], UUID]:
    """Return the id of the newest trail for each (flow, commit) that has one. An abbreviated commit is a prefix."""
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
"""One index range contains every abbreviation of 7 to 12 digits, and hardly anything else."""


async def newest_trails_of_abbreviations(
    reader: Reader, tenant: Tenant, wanted: Iterable[tuple[UUID, str]]
) -> dict[tuple[UUID, str], UUID]:
    """Return the newest trail for each (flow, full commit) whose commit is stored abbreviated to 7 to 12 digits.

    Some senders report only abbreviated commits.
    """
    asked = [{"flow_id": flow, "commit": commit} for flow, commit in wanted if is_whole(commit)]
    rows = await reader.rows(_OF_ABBREVIATIONS, tenant.org_id, *_WHOLE.arrays(asked)) if asked else []
    return {(row["flow_id"], row["commit"]): row["id"] for row in rows}


def _last_of(commit: str) -> str:
    """Return the end of the range of commits that a commit, possibly abbreviated, may stand for."""
    return commit + "g" if is_abbreviated(commit) else commit  # g: the first letter after the hexadecimal digits


async def flows_of_trails(reader: Reader, tenant: Tenant, trail_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Return the flow of each trail that exists."""
    where = Where(("org_id = $1", "id = ANY($2::uuid[])"), (tenant.org_id, trail_ids)).within(tenant, trail_limits())
    rows = await reader.rows(f"SELECT id, flow_id FROM trails WHERE {where}", *where.values)
    return {row["id"]: row["flow_id"] for row in rows}
