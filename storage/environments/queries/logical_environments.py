"""Reading logical environments: their members, and the latest snapshots of all that they combine."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from domain.environments.compliance import ComplianceState, worst
from domain.environments.logical_environments import (
    MAX_MEMBERS,
    ArtifactGroup,
    LogicalEnvironment,
    Member,
    MemberSnapshot,
    MergedSnapshot,
)
from domain.errors import Conflict, Invalid
from domain.tenant import Tenant
from storage.counters import NO_PARENT
from storage.database import Reader, Row
from storage.environments.queries.attached_policies import Policies, without_policies
from storage.environments.queries.compliance import compliance_of_environments
from storage.environments.scoping import environment_limits
from storage.paging import Listing, Page, Window
from storage.rows import from_row

MAX_LISTED = 50_000
"""Members in one answer that lists logical environments."""

_environment = from_row(LogicalEnvironment)
_member = from_row(Member)


def logical_environment_of(row: Row) -> LogicalEnvironment:
    """Make a logical environment of a row with its newest version, without its members."""
    return _environment({**row, "members": ()})


_LOGICAL = Listing(
    "logical environment",
    "e.id, e.org_id, e.name, e.version, v.description, e.created_at, e.updated_at",
    "environments e JOIN environment_versions v "
    "ON v.environment_id = e.id AND v.version = e.version AND e.kind = 'logical'",
    logical_environment_of,
    alias="e.",
    archivable=True,
    limits=environment_limits,
)


async def get_logical_environment(reader: Reader, tenant: Tenant, environment_id: UUID) -> LogicalEnvironment:
    """Return one logical environment. Raises NotFound, also if it is archived or belongs to another organisation."""
    [found] = await with_members(reader, tenant, [await _LOGICAL.get(reader, tenant, environment_id)])
    return found


async def list_logical_environments(reader: Reader, tenant: Tenant, window: Window) -> Page[LogicalEnvironment]:
    """List the organisation's logical environments, oldest first. Raises Invalid if they have too many members."""
    page = await _LOGICAL.page(reader, tenant, window, counter=("logical_environments", NO_PARENT))
    return replace(page, items=await with_members(reader, tenant, page.items))


_MEMBERS = """
SELECT wanted.place, found.*, member.added_at::timestamptz AS added_at
FROM unnest($2::uuid[], $3::int[]) WITH ORDINALITY AS wanted(environment_id, version, place)
JOIN environment_versions l
  ON l.environment_id = wanted.environment_id AND l.version = wanted.version AND l.org_id = $1
CROSS JOIN LATERAL jsonb_each_text(l.members) AS member(id, added_at)
CROSS JOIN LATERAL (
  SELECT m.id, m.name, v.type
  FROM environments m JOIN environment_versions v ON v.environment_id = m.id AND v.version = m.version
  WHERE m.id = member.id::uuid AND m.archived_at IS NULL OFFSET 0
) AS found
WHERE $4::uuid[] IS NULL OR found.id = ANY($4)
ORDER BY wanted.place, added_at, found.id LIMIT $5
"""
"""With OFFSET 0 each member is looked up by its id, however many PostgreSQL expects there to be."""


async def with_members(
    reader: Reader, tenant: Tenant, environments: Sequence[LogicalEnvironment]
) -> list[LogicalEnvironment]:
    """Return logical environments with the members that are within the tenant's scopes, in one statement."""
    if not environments:
        return []
    versions = [one.id for one in environments], [one.version for one in environments]
    rows = await reader.rows(_MEMBERS, tenant.org_id, *versions, _within(tenant), MAX_LISTED + 1)
    if len(rows) > MAX_LISTED:
        raise Invalid.of("size", f"these environments have more than {MAX_LISTED} members; ask for fewer at a time")
    found: list[list[Member]] = [[] for _ in environments]
    for row in rows:
        found[row["place"] - 1].append(_member(row))
    return [replace(one, members=members) for one, members in zip(environments, found, strict=True)]


def _within(tenant: Tenant) -> list[UUID] | None:
    """Return the environments that the tenant's scopes are limited to; None for all."""
    return None if tenant.scopes is None else list(tenant.scopes.environments)


_KINDS = """
SELECT id, name, kind FROM environments WHERE org_id = $1 AND id = ANY($2::uuid[]) AND archived_at IS NULL
"""


async def active_environments(reader: Reader, tenant: Tenant, ids: Collection[UUID]) -> Mapping[UUID, Row]:
    """Return name and kind of those of these environments that exist and are not archived, by their ids."""
    return {row["id"]: row for row in await reader.rows(_KINDS, tenant.org_id, list(ids))}


_INSIDE = """
FROM environments e JOIN environment_versions v ON v.environment_id = e.id AND v.version = e.version
CROSS JOIN LATERAL jsonb_object_keys(v.members) AS member(id)
JOIN environments m ON m.id = member.id::uuid AND m.archived_at IS NULL
"""
_NESTING = f"""
WITH RECURSIVE below(id) AS (
  SELECT id FROM environments WHERE org_id = $1 AND id = ANY($2::uuid[])
  UNION
  SELECT inside.id FROM below CROSS JOIN LATERAL (
    SELECT m.id {_INSIDE} WHERE e.id = below.id AND m.kind = 'logical' OFFSET 0
  ) AS inside
), above(id) AS (
  SELECT id FROM environments WHERE org_id = $1 AND id = $3
  UNION
  SELECT outside.id FROM above CROSS JOIN LATERAL (
    SELECT e.id FROM environment_versions v
    JOIN environments e ON e.id = v.environment_id AND e.version = v.version AND e.archived_at IS NULL
    WHERE v.kind = 'logical' AND v.members ? above.id::text OFFSET 0
  ) AS outside
)
SELECT l.id, l.name, ARRAY(SELECT m.id {_INSIDE} WHERE e.id = l.id AND m.kind = 'logical') AS members
FROM (SELECT id FROM below UNION SELECT id FROM above) AS found
JOIN environments l ON l.id = found.id
"""


async def nesting_around(
    reader: Reader, tenant: Tenant, environment_id: UUID, member_ids: Collection[UUID]
) -> tuple[dict[UUID, list[UUID]], dict[UUID, str]]:
    """Return the logical members, and the names, of all that an environment and members to be are in and consist of."""
    rows = await reader.rows(_NESTING, tenant.org_id, list(member_ids), environment_id)
    return {row["id"]: row["members"] for row in rows}, {row["id"]: row["name"] for row in rows}


_LATEST = f"""
WITH RECURSIVE reached(id) AS (
  SELECT id FROM environments WHERE org_id = $1 AND id = $2
  UNION
  SELECT inside.id FROM reached CROSS JOIN LATERAL (SELECT m.id {_INSIDE} WHERE e.id = reached.id OFFSET 0) AS inside
)
SELECT e.id, e.name, latest.n, latest.created_at AS recorded_at, coalesce(latest.artifacts, 0) AS artifacts
FROM reached JOIN environments e ON e.id = reached.id AND e.kind = 'physical'
LEFT JOIN LATERAL (
  SELECT s.n, s.created_at, s.artifacts FROM snapshots s WHERE s.environment_id = e.id AND s.n = e.last_n LIMIT 1
) AS latest ON true
ORDER BY e.name LIMIT $3
"""

_member_snapshot = from_row(MemberSnapshot)


async def merged_snapshot(
    reader: Reader, tenant: Tenant, environment_id: UUID, *, policies: Policies = without_policies
) -> MergedSnapshot:
    """Return the latest snapshots of all physical environments that a logical one combines.

    Those outside of the tenant's scopes are left out. They count as UNKNOWN, and so do those that are too many to be
    judged at once. Raises NotFound, and Conflict for more than MAX_MEMBERS.
    """
    logical = await _LOGICAL.get(reader, tenant, environment_id)
    rows = await reader.rows(_LATEST, tenant.org_id, environment_id, MAX_MEMBERS + 1)
    if len(rows) > MAX_MEMBERS:
        message = f"The environment combines more than {MAX_MEMBERS} physical ones; read the snapshots of its members."
        raise Conflict(message, "state")
    within = _within(tenant)
    shown = [row for row in rows if within is None or row["id"] in within]
    known = await compliance_of_environments(reader, tenant, [row["id"] for row in shown], policies)
    states = {row["id"]: known[row["id"]].state if row["id"] in known else ComplianceState.UNKNOWN for row in shown}
    hidden = [ComplianceState.UNKNOWN] * (len(rows) - len(shown))
    members = [_member_snapshot({**row, "state": states[row["id"]]}) for row in shown]
    return MergedSnapshot(logical.id, logical.name, worst([*states.values(), *hidden]), members)


_GROUPS = """
SELECT r.digest, (array_agg(DISTINCT r.name))[1:$4] AS names,
       coalesce((array_agg(DISTINCT r.tag) FILTER (WHERE r.tag IS NOT NULL))[1:$4], '{}') AS tags,
       sum(r.count)::bigint AS count, count(DISTINCT r.environment_id)::int AS environments
FROM unnest($2::uuid[], $3::int[]) AS wanted(environment_id, n)
JOIN running r ON r.environment_id = wanted.environment_id AND r.during @> wanted.n
WHERE r.org_id = $1
GROUP BY r.digest ORDER BY r.digest LIMIT $5
"""
_NAMES_SHOWN = 20

_group = from_row(ArtifactGroup)


async def grouped_instances(
    reader: Reader, tenant: Tenant, places: Sequence[tuple[UUID, int]], most: int
) -> list[ArtifactGroup]:
    """Return what ran in these snapshots, given by environment and number, by digest: the first ones, up to `most`."""
    wanted: tuple[Any, ...] = ([one[0] for one in places], [one[1] for one in places])
    rows = await reader.rows(_GROUPS, tenant.org_id, *wanted, _NAMES_SHOWN, most)
    return [_group(row) for row in rows]
