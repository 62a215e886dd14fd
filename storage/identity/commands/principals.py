"""Creating principals and their memberships."""

from typing import Any
from uuid import UUID

import asyncpg

from domain.audit.events import Actor, AuditName, Event
from domain.errors import Conflict, Invalid
from domain.identity.permissions import ROLES
from domain.identity.principals import NewPrincipal
from domain.identity.records import MEMBERSHIP, PRINCIPAL
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.database import Transaction
from storage.rows import insert


async def create_principal(tx: Transaction, tenant: Tenant, new: NewPrincipal, actor: Actor) -> UUID:
    """Create a principal and its membership of the organisation; return the id of the principal.

    Raises Invalid for an unknown role, Conflict for a taken name.
    """
    if new.role not in ROLES:
        raise Invalid.of("role", f"must be one of {', '.join(sorted(ROLES))}")
    principal_id = new.id or tx.new_id()
    row: dict[str, Any] = {
        "id": principal_id,
        "kind": new.kind,
        "username": new.username,
        "version": 1,
        "created_at": tx.now,
        "disabled_at": None,
    }
    member = {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "principal_id": principal_id,
        "role": new.role,
        "version": 1,
        "created_at": tx.now,
    }
    try:
        await insert(tx, "principals", row)
    except asyncpg.UniqueViolationError as error:
        raise Conflict(f"A principal named '{new.username}' exists already.") from error
    await insert(tx, "memberships", member)
    payload = {"principalId": str(principal_id)}
    events = [
        Event(AuditName.PRINCIPAL_CREATED, actor, PRINCIPAL, row, {**payload, "kind": new.kind}),
        Event(AuditName.MEMBERSHIP_CREATED, actor, MEMBERSHIP, member, {**payload, "role": new.role}),
    ]
    await append(tx, tenant, events)
    return principal_id
