"""Recording since when artifacts run in an environment, and that they ceased to."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from domain.audit.events import Actor, AuditName, Event
from domain.environments.artifacts import Difference
from domain.environments.records import DEPLOYMENT
from domain.environments.snapshots import Snapshot
from domain.errors import Unavailable
from domain.tenant import Tenant
from storage.audit.commands import append_in_portions
from storage.batches import Batch, BatchInsert, Rows
from storage.database import Transaction
from storage.environments.tables import deployments
from storage.ids import derived_id

_NAMES = {
    (False, True): AuditName.ARTIFACT_DEPLOYED,
    (True, True): AuditName.ARTIFACT_UPDATED,
    (True, False): AuditName.ARTIFACT_REMOVED,
}
"""The names of events by whether the artifact's name had a version before, and has one now."""

_ENDED = Rows.of(deployments, "name", "digest")
_END = f"""
UPDATE deployments d SET removed_n = $2, removed_at = $3
FROM {_ENDED.source("ended", 4)}
WHERE d.environment_id = $1 AND d.name = ended.name AND d.digest = ended.digest AND d.removed_n IS NULL
RETURNING d.id, d.name, d.digest
"""
_BEGIN = Batch(
    BatchInsert(
        deployments,
        ("id", "name", "digest", "tag", "replaced"),
        shared=("org_id", "environment_id", "deployed_n", "deployed_at"),
    )
)


async def record_deployments(
    tx: Transaction, tenant: Tenant, snapshot: Snapshot, differences: Sequence[Difference], actor: Actor
) -> None:
    """Record the deployments that a snapshot begins and ends, with an audit event for each artifact.

    Raises Unavailable unless each deployment that ends is known once.
    """
    ended = [one.before._asdict() for one in differences if one.before]
    place = (snapshot.environment_id, snapshot.n, snapshot.created_at)
    rows = await tx.rows(_END, *place, *_ENDED.arrays(ended)) if ended else []
    if len(rows) != len(ended):
        raise damaged(snapshot.environment_id)
    ids = {(row["name"], row["digest"]): row["id"] for row in rows}
    begun = [begun_row(snapshot.id, snapshot.created_at, one) for one in differences if one.after]
    ids |= {(row["name"], row["digest"]): row["id"] for row in begun}
    shared = dict(zip(("environment_id", "deployed_n", "deployed_at"), place, strict=True))
    await _BEGIN.write(tx, {"org_id": tenant.org_id, **shared}, begun)
    await append_in_portions(tx, tenant, (_event(snapshot, one, ids, actor) for one in differences))


def damaged(environment_id: UUID) -> Unavailable:
    """Return the error of a report to an environment of which the derived rows are not what was reported."""
    return Unavailable(
        f"What is known to run in the environment {environment_id} contradicts itself; nothing can be reported until "
        "an operator repairs it with `trailgate rebuild environments`.",
        60,
    )


def begun_row(snapshot_id: UUID, time: datetime, difference: Difference) -> dict[str, Any]:
    """Return the columns in which the deployments that a snapshot begins differ; a rebuild gives the same."""
    source = uuid5(snapshot_id, f"{difference.newest.name}\0{difference.newest.digest}")
    return {
        "id": derived_id(time, source),
        **difference.newest._asdict(),
        "replaced": difference.before.digest if difference.before else None,
    }


def _event(snapshot: Snapshot, difference: Difference, ids: Mapping[tuple[str, str], UUID], actor: Actor) -> Event:
    """Make the event of one artifact. Its record is the deployment that begins, or else the one that ends."""
    before, after, newest = difference.before, difference.after, difference.newest
    payload = {
        "environmentId": str(snapshot.environment_id),
        "snapshotIndex": snapshot.n,
        "artifactName": newest.name,
        "artifactTag": newest.tag,
        "sha256From": before.digest if before else None,
        "sha256To": after.digest if after else None,
    }
    return Event(
        _NAMES[before is not None, after is not None],
        actor,
        DEPLOYMENT,
        {"id": ids[newest.name, newest.digest]},
        payload,
        environment_id=snapshot.environment_id,
        digest=newest.digest,
    )
