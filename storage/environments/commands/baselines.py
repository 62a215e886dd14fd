"""Approving snapshots as baselines."""

from uuid import UUID

from domain.audit.events import Actor
from domain.environments.baselines import Baseline, NewBaseline
from domain.environments.environments import DriftStatus
from domain.environments.records import BASELINE
from domain.errors import NotFound
from domain.moments import later_than
from domain.tenant import Tenant
from storage.database import Row, Transaction
from storage.definitions import Definition
from storage.environments.commands.drift import check_drift
from storage.environments.holding import hold_environment
from storage.environments.queries.baselines import active_baseline
from storage.environments.tables import baselines

BASELINES = Definition(
    "baseline",
    BASELINE,
    baselines,
    shown={"environmentId": "environment_id", "snapshotId": "snapshot_id", "snapshotIndex": "n"},
    taken={},
    environment="environment_id",
)

_SNAPSHOT = "SELECT id, n, content FROM snapshots WHERE org_id = $1 AND environment_id = $2 AND id = $3"
_LATEST = "SELECT id, n, content FROM snapshots WHERE org_id = $1 AND environment_id = $2 AND n = $3"
_ACTIVE = "SELECT * FROM baselines WHERE environment_id = $1 AND archived_at IS NULL"


async def create_baseline(tx: Transaction, tenant: Tenant, new: NewBaseline, actor: Actor) -> Baseline:
    """Approve a snapshot in place of the active baseline, and compare what runs with it.

    Later baselines have later times, also if the one before was approved while this one waited for the lock.
    Raises NotFound for the environment, and for a snapshot that is not one of it.
    """
    environment = await hold_environment(tx, tenant, new.environment_id)
    snapshot = await _snapshot(tx, tenant, environment, new.snapshot_id)
    active = await tx.row(_ACTIVE, new.environment_id)
    time = later_than(active["created_at"] if active else None, tx.now)
    if active:
        await BASELINES.change(tx, tenant, actor, dict(active), {"archived_at": time}, verb="replaced")
    values = {
        "created_at": time,
        "environment_id": new.environment_id,
        "snapshot_id": snapshot["id"] if snapshot else None,
        "n": snapshot["n"] if snapshot else None,
        "claimed_by": new.claimed_by,
        "description": new.description,
    }
    await BASELINES.create(tx, tenant, actor, values)
    drifted = environment["drift_status"] == DriftStatus.DRIFTED
    if drifted or snapshot is None or snapshot["content"] != environment["last_content"]:
        await check_drift(tx, tenant, [environment], actor)
    return await active_baseline(tx, new.environment_id)


async def _snapshot(tx: Transaction, tenant: Tenant, environment: Row, snapshot_id: UUID | None) -> Row | None:
    """Return the snapshot to approve: the given one, else the latest one, if there is one."""
    environment_id = environment["id"]
    if snapshot_id is None:
        return await tx.row(_LATEST, tenant.org_id, environment_id, environment["last_n"])
    snapshot = await tx.row(_SNAPSHOT, tenant.org_id, environment_id, snapshot_id)
    if snapshot is None:
        raise NotFound(f"There is no snapshot {snapshot_id} of the environment {environment_id}.")
    return snapshot
