"""Recording what runs in environments."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from domain.audit.events import Actor, AuditName, Event
from domain.environments.artifacts import Instances, Running, content_hash
from domain.environments.records import SNAPSHOT
from domain.environments.snapshots import Change, NewSnapshot, Snapshot, changes_between
from domain.errors import Conflict, NotFound
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.batches import Batch, BatchInsert
from storage.database import Row, Transaction
from storage.environments.queries.snapshots import snapshot_of
from storage.environments.scoping import check_environment_scope
from storage.environments.tables import running
from storage.rows import insert

_HOLD = """
SELECT version FROM environments
WHERE org_id = $1 AND id = $2 AND kind = 'physical' AND archived_at IS NULL FOR NO KEY UPDATE
"""
_LAST = "SELECT n, content, created_at FROM snapshots WHERE environment_id = $1 ORDER BY n DESC LIMIT 1"
_NOW = "SELECT id, name, digest, tag, count FROM running WHERE environment_id = $1 AND upper_inf(during)"
_END = "UPDATE running SET during = int4range(lower(during), $2) WHERE id = ANY($1::uuid[])"
_BEGIN = Batch(
    BatchInsert(running, ("id", "name", "digest", "tag", "count"), shared=("org_id", "environment_id", "during"))
)
_TICK = timedelta(microseconds=1)


async def record_snapshot(tx: Transaction, tenant: Tenant, new: NewSnapshot, actor: Actor) -> Snapshot:
    """Record what runs now, under the next number of the environment.

    Raises NotFound for an unknown or logical environment, and Conflict for one whose definition has another version.
    """
    check_environment_scope(tenant, new.environment_id)
    await _hold(tx, tenant, new)
    last, content = await tx.row(_LAST, new.environment_id), content_hash(new.instances)
    changes: Sequence[Change] = ()
    if last is None or last["content"] != content:
        changes = await _change(tx, tenant, new, 1 if last is None else last["n"] + 1)
    row = {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "environment_id": new.environment_id,
        "n": 1 if last is None else last["n"] + 1,
        "environment_version": new.environment_version,
        "content": content,
        "artifacts": len(new.instances),
        "changes": [change.to_json() for change in changes],
        "claimed_by": new.claimed_by,
        "scope_label": new.scope_label,
        "recorded_by": actor.principal_id,
        "created_at": _time(tx, last),
    }
    await insert(tx, "snapshots", row)
    if changes or last is None:
        await append(tx, tenant, [_event(actor, row)])
    return snapshot_of(row)


async def _hold(tx: Transaction, tenant: Tenant, new: NewSnapshot) -> None:
    """Lock the environment, so that its snapshots are numbered one by one."""
    held = await tx.row(_HOLD, tenant.org_id, new.environment_id)
    if held is None:
        raise NotFound(f"There is no environment {new.environment_id}.")
    if held["version"] != new.environment_version:
        raise Conflict("The environment was changed meanwhile: report again.", "race")


async def _change(tx: Transaction, tenant: Tenant, new: NewSnapshot, n: int) -> list[Change]:
    """End what does not run any more in this number, begin what runs now, and return the changes."""
    rows = {Running(row["name"], row["digest"], row["tag"]): row for row in await tx.rows(_NOW, new.environment_id)}
    before: Instances = {artifact: row["count"] for artifact, row in rows.items()}
    changes = changes_between(before, new.instances)
    await tx.execute(_END, [rows[one.artifact]["id"] for one in changes if one.before], n)
    begun = [_begun(tx, one) for one in changes if one.after]
    shared = {"org_id": tenant.org_id, "environment_id": new.environment_id, "during": asyncpg.Range(n)}
    await _BEGIN.write(tx, shared, begun)
    return changes


def _begun(tx: Transaction, change: Change) -> Row:
    return {"id": tx.new_id(), **change.artifact._asdict(), "count": change.after}


def _time(tx: Transaction, last: Row | None) -> datetime:
    """Return the time of a snapshot, which is later than the last one's also when the clock was set back."""
    return tx.now if last is None else max(tx.now, last["created_at"] + _TICK)


def _event(actor: Actor, row: dict[str, Any]) -> Event:
    environment_id: UUID = row["environment_id"]
    payload = {
        "snapshotId": str(row["id"]),
        "environmentId": str(environment_id),
        "snapshotIndex": row["n"],
        "artifacts": row["artifacts"],
        "changes": len(row["changes"]),
    }
    return Event(AuditName.SNAPSHOT_RECORDED, actor, SNAPSHOT, row, payload, environment_id=environment_id)
