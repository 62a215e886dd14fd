"""Defining flows."""

from typing import Any

import asyncpg

from domain.audit import Actor, AuditName, Event
from domain.errors import Conflict
from domain.facts.flows import Flow, NewFlow, check_tags
from domain.facts.records import FLOW
from storage.audit.commands import NO_PARENT, append
from storage.database import Transaction
from storage.rows import insert
from storage.scope import Scope


async def create_flow(tx: Transaction, scope: Scope, new: NewFlow, actor: Actor) -> Flow:
    """Define a flow. Raises Invalid for its tags, Conflict when the name is taken."""
    check_tags(new.tags)
    head: dict[str, Any] = {
        "id": tx.new_id(),
        "org_id": scope.org_id,
        "name": new.name,
        "version": 1,
        "created_at": tx.now,
        "updated_at": tx.now,
        "archived_at": None,
    }
    version: dict[str, Any] = {
        "flow_id": head["id"],
        "version": 1,
        "org_id": scope.org_id,
        "name": new.name,
        "description": new.description,
        "required_types": list(new.required_types),
        "tags": dict(new.tags),
        "requires_approval": new.requires_approval,
        "required_approver_roles": list(new.required_approver_roles),
        "visibility": new.visibility,
        "template_text": new.template.text if new.template else None,
        "template": new.template.requirements.to_json() if new.template else None,
        "created_at": tx.now,
        "created_by": actor.principal_id,
    }
    try:
        await insert(tx, "flows", head)
    except asyncpg.UniqueViolationError as error:
        raise Conflict(f"A flow named '{new.name}' exists already.") from error
    await insert(tx, "flow_versions", version)
    row = {**version, **head}
    event = Event(AuditName.FLOW_CREATED, actor, FLOW, row, {"flowId": str(row["id"]), "name": new.name, "version": 1})
    await append(tx, scope, [event], [("flows", NO_PARENT)])
    return Flow(**{field: row[field] for field in Flow.__dataclass_fields__})
