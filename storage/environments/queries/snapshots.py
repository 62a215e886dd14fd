"""Reading snapshots: any one in one step, however old it is."""

from datetime import datetime
from uuid import UUID

from domain.environments.artifacts import Instances, Running
from domain.environments.snapshots import Change, Snapshot
from domain.errors import NotFound
from domain.tenant import Tenant
from storage.database import Reader, Row
from storage.paging import Alternative, Listing, Page, Window
from storage.rows import columns, from_row

_snapshot = from_row(Snapshot)


def snapshot_of(row: Row) -> Snapshot:
    """Make a snapshot of its row."""
    return _snapshot({**row, "changes": tuple(Change.of_json(one) for one in row["changes"])})


_SNAPSHOTS = Listing(
    "snapshot",
    columns(Snapshot),
    "snapshots",
    snapshot_of,
    limits=lambda scopes: (Alternative("environment_id = {}", "uuid", scopes.environments),),
)


async def list_snapshots(
    reader: Reader, tenant: Tenant, window: Window, *, environment_id: UUID
) -> Page[Snapshot]:
    """List the snapshots of an environment, the first one first."""
    return await _SNAPSHOTS.page(reader, tenant, window, within={"environment_id = {}": environment_id})


_ONE = f"SELECT {columns(Snapshot)} FROM snapshots WHERE org_id = $1 AND environment_id = $2"
_NUMBERED = f"{_ONE} AND n = $3"
_LATEST = f"{_ONE} ORDER BY n DESC LIMIT 1"
_AT = f"{_ONE} AND created_at <= $3 ORDER BY created_at DESC, id DESC LIMIT 1"


async def get_snapshot(reader: Reader, tenant: Tenant, environment_id: UUID, n: int) -> Snapshot:
    """Return the snapshot of this number. Raises NotFound."""
    row = await reader.row(_NUMBERED, tenant.org_id, environment_id, n)
    if row is None:
        raise NotFound(f"There is no snapshot {n} of the environment {environment_id}.")
    return snapshot_of(row)


async def latest_snapshot(reader: Reader, tenant: Tenant, environment_id: UUID) -> Snapshot:
    """Return the newest snapshot. Raises NotFound while there is none."""
    row = await reader.row(_LATEST, tenant.org_id, environment_id)
    if row is None:
        raise NotFound(f"Nothing was reported for the environment {environment_id} yet.")
    return snapshot_of(row)


async def snapshot_at(reader: Reader, tenant: Tenant, environment_id: UUID, time: datetime) -> Snapshot:
    """Return the snapshot that was the newest one at a time. Raises NotFound before the first."""
    row = await reader.row(_AT, tenant.org_id, environment_id, time)
    if row is None:
        raise NotFound(f"Nothing was reported for the environment {environment_id} until then.")
    return snapshot_of(row)


_INSTANCES = """
SELECT r.environment_id, wanted.n, r.name, r.digest, r.tag, r.count
FROM unnest($2::uuid[], $3::int[]) AS wanted(environment_id, n)
JOIN running r ON r.environment_id = wanted.environment_id AND r.during @> wanted.n
WHERE r.org_id = $1
"""


async def instances_of(reader: Reader, tenant: Tenant, *snapshots: Snapshot) -> list[Instances]:
    """Return what ran in each of these snapshots, in one statement."""
    found: dict[tuple[UUID, int], dict[Running, int]] = {(one.environment_id, one.n): {} for one in snapshots}
    places = list(found)
    rows = await reader.rows(_INSTANCES, tenant.org_id, [one[0] for one in places], [one[1] for one in places])
    for row in rows:
        found[row["environment_id"], row["n"]][Running(row["name"], row["digest"], row["tag"])] = row["count"]
    return [found[one.environment_id, one.n] for one in snapshots]
