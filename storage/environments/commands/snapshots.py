"""Recording what runs in environments."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from domain.audit.events import Actor, AuditName, Event
from domain.environments.artifacts import Instances, Running, content_hash
from domain.environments.deployments import deployed
from domain.environments.environments import EnvironmentType
from domain.environments.records import SNAPSHOT
from domain.environments.snapshots import Change, Report, Snapshot, changes_between, within
from domain.moments import later_than
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.batches import Batch, BatchInsert
from storage.database import Row, Transaction
from storage.environments.commands.deployments import damaged, record_deployments
from storage.environments.commands.drift import check_drift
from storage.environments.commands.staleness import end_staleness
from storage.environments.holding import hold_environment
from storage.environments.queries.environments import scope_of
from storage.environments.queries.snapshots import MAX_ON_LOOP, RETURNED, latest_snapshot, snapshot_of
from storage.environments.tables import running
from storage.threads import in_thread_if

_MOVE = """
UPDATE environments
SET last_n = $2, last_content = $3, last_artifacts = $4, last_reported_at = $5, last_changed_at = $6, due_at = $7,
    stale_since = NULL
WHERE id = $1
"""
_ALSO = ("id", "org_id", "environment_version", "changed", "changes", "claimed_by", "scope_label", "recorded_by")
_RECORD = f"""
WITH moved AS ({_MOVE})
INSERT INTO snapshots (environment_id, n, content, artifacts, created_at, {", ".join(_ALSO)})
VALUES ($1, $2, $3, $4, $5, {", ".join(f"${n}" for n in range(8, 8 + len(_ALSO)))})
RETURNING {RETURNED}
"""
_NOW = "SELECT id, name, digest, tag, count FROM running WHERE environment_id = $1 AND upper_inf(during)"
_END = "UPDATE running SET during = int4range(lower(during), $2) WHERE id = ANY($1::uuid[])"
_BEGIN = Batch(
    BatchInsert(running, ("id", "name", "digest", "tag", "count"), shared=("org_id", "environment_id", "during"))
)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The snapshot of a report with what runs; `is_new` unless the report was only to record changes."""

    snapshot: Snapshot
    instances: Instances
    is_new: bool


async def record_snapshot(tx: Transaction, tenant: Tenant, report: Report, actor: Actor) -> Recorded:
    """Record what runs now, under the next number of the environment. Raises NotFound for it.

    A report of what is known to run costs one row, without an audit event. Another one is sealed, and so is every
    deployment that it shows.
    """
    head = await hold_environment(tx, tenant, report.environment_id)
    instances, content = await _counting(head, report)
    changed = head["last_content"] != content
    is_new = changed or not report.only_changes
    n, time = head["last_n"] + is_new, later_than(head["last_reported_at"], tx.now)
    changed_at = time if changed else head["last_changed_at"]
    due = due_at(head["stale_after"], tx.now)  # not `time`: that is far ahead for long, if the clock once was
    moved = (head["id"], n, content, len(instances), time, changed_at, due)
    if head["stale_since"]:
        await end_staleness(tx, tenant, head, actor)
    if not is_new:
        await tx.execute(_MOVE, *moved)
        return Recorded(await latest_snapshot(tx, tenant, report.environment_id), instances, is_new=False)
    before, changes = await _replace(tx, tenant, head, n, instances) if changed else (instances, [])
    row = {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "environment_id": report.environment_id,
        "n": n,
        "environment_version": head["version"],
        "content": content,
        "artifacts": len(instances),
        "changed": len(changes),
        "changes": [change.to_json() for change in changes],
        "claimed_by": report.claimed_by,
        "scope_label": report.scope_label,
        "recorded_by": actor.principal_id,
        "created_at": time,
    }
    [stored] = await tx.rows(_RECORD, *moved, *(row[name] for name in _ALSO))
    snapshot = snapshot_of(stored)
    if changed:
        await append(tx, tenant, [_event(actor, row)])
        await record_deployments(tx, tenant, snapshot, list(deployed(before, instances)), actor)
        await check_drift(tx, tenant, [{**head, "last_n": n}], actor)
    return Recorded(snapshot, instances, is_new=True)


async def _counting(head: Row, report: Report) -> tuple[Instances, bytes]:
    """Return the reported instances that count, and their hash."""
    scope = scope_of(head).of_type(EnvironmentType(head["type"]))

    def counting() -> tuple[Instances, bytes]:
        instances = within(scope, report.instances)
        return instances, content_hash(instances)

    return await in_thread_if(len(report.instances) > MAX_ON_LOOP, counting)


async def _replace(
    tx: Transaction, tenant: Tenant, head: Row, n: int, instances: Instances
) -> tuple[Instances, list[Change]]:
    """End in snapshot `n` what does not run any more, begin what runs now; return what ran before, and the changes.

    Raises Unavailable for damaged rows: changes that were made of them would be sealed.
    """
    rows = {Running(row["name"], row["digest"], row["tag"]): row for row in await tx.rows(_NOW, head["id"])}
    before = {artifact: row["count"] for artifact, row in rows.items()}
    if content_hash(before) != (head["last_content"] or content_hash({})):
        raise damaged(head["id"])
    changes = changes_between(before, instances)
    await tx.execute(_END, [rows[one.artifact]["id"] for one in changes if one.before], n)
    shared = {"org_id": tenant.org_id, "environment_id": head["id"], "during": asyncpg.Range(n)}
    await _BEGIN.write(tx, shared, [_begun(tx, one) for one in changes if one.after])
    return before, changes


def _begun(tx: Transaction, change: Change) -> Row:
    return {"id": tx.new_id(), **change.artifact._asdict(), "count": change.after}


def due_at(stale_after: int | None, reported_at: datetime | None) -> datetime | None:
    """Return when an environment becomes stale that was reported then; None for never."""
    return reported_at + timedelta(minutes=stale_after) if stale_after and reported_at else None


def _event(actor: Actor, row: dict[str, Any]) -> Event:
    payload = {
        "snapshotId": str(row["id"]),
        "environmentId": str(row["environment_id"]),
        "snapshotIndex": row["n"],
        "artifacts": row["artifacts"],
        "changes": row["changed"],
    }
    return Event(AuditName.SNAPSHOT_RECORDED, actor, SNAPSHOT, row, payload, environment_id=row["environment_id"])
