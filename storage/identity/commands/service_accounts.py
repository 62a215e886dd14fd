"""Creating, changing and removing service accounts."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from domain.audit.events import Actor
from domain.identity.principals import (
    NewPrincipal,
    NewServiceAccount,
    ServiceAccount,
    ServiceAccountChange,
    service_username,
)
from domain.tenant import Tenant
from storage.database import Transaction
from storage.identity.commands.principals import (
    SERVICE_ACCOUNTS,
    change_role,
    create_principal_row,
    disable,
    hold_membership,
    remove_principal,
)
from storage.identity.queries.principals import get_service_account, service_account_of


async def create_service_account(
    tx: Transaction, tenant: Tenant, new: NewServiceAccount, actor: Actor
) -> ServiceAccount:
    """Create a service account. Raises Invalid for an unknown role, Conflict for a taken name."""
    username = service_username(tenant, new.name)
    principal = NewPrincipal("service", username, new.role, name=new.name, description=new.description)
    row = await create_principal_row(tx, tenant, principal, actor)
    return service_account_of({**row, "role": new.role})


async def update_service_account(
    tx: Transaction,
    tenant: Tenant,
    account_id: UUID,
    change: ServiceAccountChange,
    actor: Actor,
    *,
    expected: Collection[int] | None = None,
) -> ServiceAccount:
    """Change a service account or its role, or disable or enable it.

    Raises NotFound, Stale, Invalid for an unknown role, Conflict for a taken name.
    """
    held, role = await _hold(tx, tenant, account_id, expected)
    values: dict[str, Any] = {}
    if change.name is not None:
        values |= {"name": change.name, "username": service_username(tenant, change.name)}
    if change.description is not None:
        values["description"] = change.description
    row = await SERVICE_ACCOUNTS.change(tx, tenant, actor, held, values)
    if change.is_active is not None:
        row = await disable(tx, tenant, row, actor, is_active=change.is_active)
    if change.role is not None and change.role != role:
        membership = await hold_membership(tx, tenant, account_id)
        assert membership is not None  # noqa: S101 - the account is locked, and lives as long as its membership
        await change_role(tx, tenant, membership, change.role, actor)
    return service_account_of({**row, "role": change.role or role})


async def delete_service_account(
    tx: Transaction, tenant: Tenant, account_id: UUID, actor: Actor, *, expected: Collection[int] | None = None
) -> ServiceAccount:
    """Remove a service account and revoke its keys. Raises NotFound, Stale."""
    held, role = await _hold(tx, tenant, account_id, expected)
    await remove_principal(tx, tenant, held, actor)
    return service_account_of({**held, "role": role})


async def _hold(
    tx: Transaction, tenant: Tenant, account_id: UUID, expected: Collection[int] | None
) -> tuple[dict[str, Any], str]:
    """Return the locked row of a service account, and its role."""
    held = await SERVICE_ACCOUNTS.hold(tx, tenant, account_id, expected)
    return held, (await get_service_account(tx, tenant, account_id)).role
