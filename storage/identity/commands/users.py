"""Creating, changing and removing people."""

from typing import Any
from uuid import UUID

from domain.audit.events import Actor
from domain.errors import Forbidden
from domain.identity.principals import NewPrincipal, NewUser, User, UserChange
from domain.tenant import Tenant
from storage.database import Transaction
from storage.identity.commands.principals import USERS, create_principal_row, disable, remove_principal
from storage.identity.queries.principals import get_user, user_of


async def create_user(tx: Transaction, tenant: Tenant, new: NewUser, actor: Actor) -> User:
    """Create a person whom the organisation manages, and who is no member of it yet.

    Raises Conflict for an e-mail address or GitHub id in use.
    """
    principal = NewPrincipal("user", new.email, None, name=new.name, email=new.email, github_id=new.github_id)
    return user_of(await create_principal_row(tx, tenant, principal, actor))


async def update_user(tx: Transaction, tenant: Tenant, user_id: UUID, change: UserChange, actor: Actor) -> User:
    """Change a person, or disable or enable the account everywhere.

    Raises NotFound, Forbidden for a member whom another organisation manages, and Conflict for a GitHub id in use or a
    last administrator.
    """
    held = await _hold(tx, tenant, user_id)
    values = {"name": change.name, "github_id": change.github_id}
    row = await USERS.change(tx, tenant, actor, held, {k: v for k, v in values.items() if v is not None})
    if change.is_active is not None:
        row = await disable(tx, tenant, row, actor, is_active=change.is_active)
    return user_of(row)


async def delete_user(tx: Transaction, tenant: Tenant, user_id: UUID, actor: Actor) -> User:
    """Remove a person: memberships and keys end at once, and the e-mail address is free again.

    Raises NotFound, Forbidden for a member whom another organisation manages, Conflict for a last administrator.
    """
    held = await _hold(tx, tenant, user_id)
    await remove_principal(tx, tenant, held, actor)
    return user_of(held)


async def _hold(tx: Transaction, tenant: Tenant, user_id: UUID) -> dict[str, Any]:
    found = await get_user(tx, tenant, user_id)
    if found.org_id != tenant.org_id:
        raise Forbidden("Another organisation manages this user; you can end the membership of yours.")
    return await USERS.hold(tx, tenant, user_id)
