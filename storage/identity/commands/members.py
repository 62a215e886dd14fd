"""Making people members of an organisation, changing their roles, and removing them."""

from typing import Any
from uuid import UUID

from domain.audit.events import Actor
from domain.errors import NotFound
from domain.identity.principals import Member
from domain.tenant import Tenant
from storage.database import Transaction
from storage.identity.commands.principals import add_membership, change_role, end_membership, hold_membership
from storage.identity.queries.principals import get_member

_USER = "SELECT * FROM principals WHERE id = $1 AND kind = 'user' AND archived_at IS NULL FOR KEY SHARE"


async def add_member(tx: Transaction, tenant: Tenant, user_id: UUID, role: str, actor: Actor) -> Member:
    """Make a person a member. Raises NotFound, Invalid for an unknown role, Conflict for a member."""
    user = await tx.row(_USER, user_id)
    if user is None:
        raise NotFound(f"There is no user {user_id}.")
    await add_membership(tx, tenant, user, role, actor)
    return await get_member(tx, tenant, user_id)


async def change_member(tx: Transaction, tenant: Tenant, user_id: UUID, role: str, actor: Actor) -> Member:
    """Change a member's role. Raises NotFound, Invalid for an unknown role, Conflict for the last administrator."""
    await change_role(tx, tenant, await _hold(tx, tenant, user_id), role, actor)
    return await get_member(tx, tenant, user_id)


async def remove_member(tx: Transaction, tenant: Tenant, user_id: UUID, actor: Actor) -> Member:
    """End a membership; the member's keys of this organisation stop at once.

    Raises NotFound, and Conflict for the last administrator.
    """
    held = await _hold(tx, tenant, user_id)
    gone = await get_member(tx, tenant, user_id)
    await end_membership(tx, tenant, held, actor)
    return gone


async def _hold(tx: Transaction, tenant: Tenant, user_id: UUID) -> dict[str, Any]:
    held = await hold_membership(tx, tenant, user_id)
    if held is None or held["kind"] != "user":
        raise NotFound(f"There is no member {user_id}.")
    return held
