"""Reading snapshots: any one in one step, however old it is."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from domain.environments.artifacts import Instances, Running
from domain.environments.environments import Environment
from domain.environments.snapshots import Snapshot
from domain.errors import NotFound
from domain.tenant import Tenant
from storage.database import Reader
from storage.environments.queries.environments import get_environment
from storage.identity.queries.principals import reporter
from storage.paging import Listing, Page, Window, fetch_fitting
from storage.rows import columns, from_row

RETURNED = f"{columns(Snapshot, but={'reporter'})}, {reporter('recorded_by')} AS reporter"
"""The columns from which a snapshot is made."""

snapshot_of = from_row(Snapshot)

MAX_ON_LOOP = 500
"""Artifacts that are filtered, hashed, compared or shown on the event loop, which takes about a millisecond."""

_SNAPSHOTS = Listing("snapshot", RETURNED, "snapshots", snapshot_of)


MAX_LISTED = 20_000
"""Artifacts of the snapshots of one page, which also bounds their changes."""


async def list_snapshots(
    reader: Reader, tenant: Tenant, window: Window, *, environment_id: UUID, whole: bool
) -> Page[Snapshot]:
    """List the snapshots of an environment, the first one first, as many as MAX_LISTED allows.

    Raises NotFound for the environment, and Invalid if the window has to be `whole` and is too large.
    """
    environment = await get_environment(reader, tenant, environment_id)
    where = _SNAPSHOTS.of(tenant.unscoped).and_("environment_id = {}", environment_id)
    found, following = await fetch_fitting(
        reader, _SNAPSHOTS, where, window, weight="artifacts", most=MAX_LISTED, whole=whole
    )
    return Page(found, environment.last_n, window, following)


_ONE = f"SELECT {RETURNED} FROM snapshots WHERE org_id = $1 AND environment_id = $2"
_NUMBERED = f"{_ONE} AND n = $3"
_AT = f"{_ONE} AND created_at <= $3 ORDER BY created_at DESC, id DESC LIMIT 1"


async def get_snapshot(reader: Reader, tenant: Tenant, environment_id: UUID, n: int) -> Snapshot:
    """Return the snapshot of this number. Raises NotFound for it or the environment."""
    await get_environment(reader, tenant, environment_id)
    row = await reader.row(_NUMBERED, tenant.org_id, environment_id, n)
    if row is None:
        raise NotFound(f"There is no snapshot {n} of the environment {environment_id}.")
    return snapshot_of(row)


async def latest_snapshot(
    reader: Reader, tenant: Tenant, environment_id: UUID, *, at: datetime | None = None
) -> Snapshot:
    """Return the newest snapshot, or the one that was the newest at a time.

    Raises NotFound for the environment, and before its first snapshot.
    """
    return await latest_of(reader, tenant, await get_environment(reader, tenant, environment_id), at=at)


async def latest_of(
    reader: Reader, tenant: Tenant, environment: Environment, *, at: datetime | None = None
) -> Snapshot:
    """Do the same for an environment that was read."""
    if at is None:
        row = await reader.row(_NUMBERED, tenant.org_id, environment.id, environment.last_n)
    else:
        row = await reader.row(_AT, tenant.org_id, environment.id, at)
    if row is None:
        until = f" until {at.isoformat()}" if at else " yet"
        raise NotFound(f"Nothing was reported to run in the environment {environment.id}{until}.")
    return snapshot_of(row)


_INSTANCES = """
SELECT wanted.place, r.name, r.digest, r.tag, r.count
FROM unnest($2::uuid[], $3::int[]) WITH ORDINALITY AS wanted(environment_id, n, place)
JOIN running r ON r.environment_id = wanted.environment_id AND r.during @> wanted.n
WHERE r.org_id = $1
"""


async def instances_of(reader: Reader, tenant: Tenant, places: Sequence[tuple[UUID, int]]) -> list[Instances]:
    """Return what ran in each of these snapshots, given by environment and number, in one statement."""
    found: list[dict[Running, int]] = [{} for _ in places]
    rows = await reader.rows(_INSTANCES, tenant.org_id, [one[0] for one in places], [one[1] for one in places])
    for row in rows:
        found[row["place"] - 1][Running(row["name"], row["digest"], row["tag"])] = row["count"]
    return list(found)
