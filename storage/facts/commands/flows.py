"""Defining flows. Every change makes a version that is kept: trails are pinned to a version, and verdicts cite it."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from domain.audit.events import Actor
from domain.errors import Conflict
from domain.facts.flows import Flow, FlowChange, NewFlow, check_tags
from domain.facts.records import FLOW
from domain.tenant import Tenant
from storage.database import Transaction
from storage.definitions import Definition
from storage.facts.queries.scoping import check_flow_scope
from storage.facts.tables import flow_versions, flows
from storage.rows import from_row

FLOWS = Definition(
    "flow",
    FLOW,
    flows,
    shown={"name": "name", "version": "version"},
    taken={"flows_name_key": "A flow named '{name}' exists already."},
    versions=flow_versions,
    counter="flows",
)

_flow = from_row(Flow)


async def create_flow(tx: Transaction, tenant: Tenant, new: NewFlow, actor: Actor) -> Flow:
    """Create a flow. Raises Invalid for bad tags, Conflict when the name is taken."""
    check_tags(new.tags)
    values = {
        "name": new.name,
        "description": new.description,
        "required_types": list(new.required_types),
        "tags": dict(new.tags),
        "requires_approval": new.requires_approval,
        "required_approver_roles": list(new.required_approver_roles),
        "visibility": new.visibility,
    }
    return _flow(await FLOWS.create(tx, tenant, actor, values | _columns({"template": new.template})))


async def update_flow(
    tx: Transaction,
    tenant: Tenant,
    flow_id: UUID,
    change: FlowChange,
    actor: Actor,
    *,
    expected: Collection[int] | None = None,
) -> Flow:
    """Change a flow for future trails, unless nothing changes.

    `expected` are the versions that the caller accepts, None for any. Raises NotFound, Stale for another version,
    Invalid for bad tags, Conflict when the name is taken.
    """
    check_flow_scope(tenant, flow_id)
    check_tags(change.get("tags", {}))
    held = await FLOWS.hold(tx, tenant, flow_id, expected)
    return _flow(await FLOWS.change(tx, tenant, actor, held, _columns(change)))


async def archive_flow(
    tx: Transaction, tenant: Tenant, flow_id: UUID, actor: Actor, *, expected: Collection[int] | None = None
) -> Flow:
    """Archive a flow, release its name and return its last version.

    Raises NotFound, Stale, and Conflict while the flow has trails or webhook configs.
    """
    check_flow_scope(tenant, flow_id)
    held = await FLOWS.hold(tx, tenant, flow_id, expected)
    for what, sql in _IN_USE.items():
        if await tx.value(sql, tenant.org_id, flow_id):
            raise Conflict(f"The flow '{held['name']}' cannot be deleted while it has {what}.", kind="state")
    return _flow(await FLOWS.archive(tx, tenant, actor, held))


_IN_USE = {
    "trails": "SELECT EXISTS (SELECT FROM trails WHERE org_id = $1 AND flow_id = $2)",
    "webhook configs": "SELECT EXISTS (SELECT FROM webhook_configs "
    "WHERE org_id = $1 AND flow_id = $2 AND archived_at IS NULL)",
}


def _columns(change: FlowChange) -> dict[str, Any]:
    """Return the fields as columns; a template is stored both as its text and in compiled form."""
    columns: dict[str, Any] = {**change}
    if "template" in columns:
        template = change["template"]
        columns["template_text"] = template.text if template else None
        columns["template"] = template.requirements.to_json() if template else None
    return columns
