"""Checking that a referenced record exists, for commands of the core, which must not import the surfaces."""

from uuid import UUID

from domain.errors import NotFound
from domain.tenant import Tenant
from storage.database import Transaction

_ACTIVE = {"flow": "SELECT true FROM flows WHERE org_id = $1 AND id = $2 AND archived_at IS NULL FOR KEY SHARE"}
"""The query that finds an active record by noun, and keeps it from being archived until the transaction ends."""


async def check_reference(tx: Transaction, tenant: Tenant, noun: str, one_id: UUID | None) -> None:
    """Raise NotFound unless the tenant has an active record of that id; None is always valid."""
    if one_id is not None and not await tx.value(_ACTIVE[noun], tenant.org_id, one_id):
        raise NotFound(f"There is no {noun} {one_id}.")
