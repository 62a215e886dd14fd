"""Defining flows. Every change makes a version that stays: trails are pinned to theirs, verdicts cite it."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

import asyncpg

from domain.audit.events import Actor, AuditName, Event
from domain.errors import Conflict, NotFound, Stale
from domain.facts.flows import Flow, FlowChange, NewFlow, check_tags
from domain.facts.records import FLOW
from storage.audit.commands import NO_PARENT, append
from storage.counters import adjust
from storage.database import Row, Transaction
from storage.rows import insert
from storage.tenant import Tenant


async def create_flow(tx: Transaction, tenant: Tenant, new: NewFlow, actor: Actor) -> Flow:
    """Define a flow. Raises Invalid for its tags, Conflict when the name is taken."""
    check_tags(new.tags)
    head: Row = {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "name": new.name,
        "version": 1,
        "created_at": tx.now,
        "updated_at": tx.now,
        "archived_at": None,
    }
    version: Row = {
        "flow_id": head["id"],
        "version": 1,
        "org_id": tenant.org_id,
        "name": new.name,
        "description": new.description,
        "required_types": list(new.required_types),
        "tags": dict(new.tags),
        "requires_approval": new.requires_approval,
        "required_approver_roles": list(new.required_approver_roles),
        "visibility": new.visibility,
        **_columns({"template": new.template}),
        "created_at": tx.now,
        "created_by": actor.principal_id,
    }
    try:
        await insert(tx, "flows", head)
    except asyncpg.UniqueViolationError as error:
        raise _taken(new.name) from error
    await insert(tx, "flow_versions", version)
    await append(tx, tenant, [_event(AuditName.FLOW_CREATED, actor, head, version)], [("flows", NO_PARENT)])
    return _flow(head, version)


async def update_flow(
    tx: Transaction,
    tenant: Tenant,
    flow_id: UUID,
    change: FlowChange,
    actor: Actor,
    *,
    expected: Collection[int] | None = None,
) -> Flow:
    """Change a flow for the trails to come; what changes nothing makes no version.

    `expected` are the versions that the change was meant for, None for any. Raises NotFound, Stale for another version,
    Invalid for its tags, Conflict when the name is taken.
    """
    check_tags(change.get("tags", {}))
    head, version = await _held(tx, tenant, flow_id, expected)
    changed = {**version, **_columns(change)}
    if changed == version:
        return _flow(head, version)
    return await _next_version(tx, tenant, head, changed, name=AuditName.FLOW_UPDATED, actor=actor)


async def archive_flow(
    tx: Transaction, tenant: Tenant, flow_id: UUID, actor: Actor, *, expected: Collection[int] | None = None
) -> Flow:
    """Put a flow away and free its name; the answer is the flow at its end.

    Raises NotFound, Stale, and Conflict while it has trails or lets webhooks in.
    """
    head, version = await _held(tx, tenant, flow_id, expected)
    for what, sql in _IN_USE.items():
        if await tx.value(sql, tenant.org_id, flow_id):
            raise Conflict(f"The flow '{head['name']}' has {what}.", kind="state")
    archived = {**head, "archived_at": tx.now}
    flow = await _next_version(tx, tenant, archived, version, name=AuditName.FLOW_DELETED, actor=actor)
    await adjust(tx, tenant, "flows", NO_PARENT, -1)
    return flow


_IN_USE = {
    "trails": "SELECT EXISTS (SELECT FROM trails WHERE org_id = $1 AND flow_id = $2)",
    "webhook configs": "SELECT EXISTS (SELECT FROM webhook_configs "
    "WHERE org_id = $1 AND flow_id = $2 AND archived_at IS NULL)",
}

_HOLD = "SELECT * FROM flows WHERE org_id = $1 AND id = $2 AND archived_at IS NULL FOR UPDATE"
_VERSION = "SELECT * FROM flow_versions WHERE flow_id = $1 AND version = $2"


async def _held(
    tx: Transaction, tenant: Tenant, flow_id: UUID, expected: Collection[int] | None
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The locked head and its newest version.

    In two statements: one that joins both would, after waiting for the lock, look for the version it saw before.
    """
    head = await tx.row(_HOLD, tenant.org_id, flow_id)
    if head is None:
        raise NotFound(f"There is no flow {flow_id}.")
    if expected is not None and head["version"] not in expected:
        raise Stale(f"The flow is at version {head['version']}; read it again.")
    [version] = await tx.rows(_VERSION, flow_id, head["version"])
    return dict(head), dict(version)


_MOVE = "UPDATE flows SET name = $2, version = $3, updated_at = $4, archived_at = $5 WHERE id = $1"


async def _next_version(
    tx: Transaction,
    tenant: Tenant,
    head: Mapping[str, Any],
    version: Mapping[str, Any],
    *,
    name: AuditName,
    actor: Actor,
) -> Flow:
    number = head["version"] + 1
    version = {**version, "version": number, "created_at": tx.now, "created_by": actor.principal_id}
    head = {**head, "name": version["name"], "version": number, "updated_at": tx.now}
    try:
        await tx.execute(_MOVE, head["id"], head["name"], number, tx.now, head["archived_at"])
    except asyncpg.UniqueViolationError as error:
        raise _taken(head["name"]) from error
    await insert(tx, "flow_versions", version)
    await append(tx, tenant, [_event(name, actor, head, version)])
    return _flow(head, version)


def _columns(change: FlowChange) -> dict[str, Any]:
    """The fields as columns: a template is kept as it was sent and as what it was compiled to."""
    columns: dict[str, Any] = {**change}
    if "template" in change:
        template = change["template"]
        columns["template_text"] = template.text if template else None
        columns["template"] = template.requirements.to_json() if template else None
    return columns


def _event(name: AuditName, actor: Actor, head: Mapping[str, Any], version: Mapping[str, Any]) -> Event:
    record = {**head, **version}  # `created_at` is the version's
    payload = {"flowId": str(record["id"]), "name": record["name"], "version": record["version"]}
    return Event(name, actor, FLOW, record, payload)


def _flow(head: Mapping[str, Any], version: Mapping[str, Any]) -> Flow:
    row = {**version, **head}
    return Flow(**{field: row[field] for field in Flow.__dataclass_fields__})


def _taken(name: str) -> Conflict:
    return Conflict(f"A flow named '{name}' exists already.")
