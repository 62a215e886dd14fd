"""Checking that what an id names is there, for commands of the core, which knows no area."""

from uuid import UUID

from domain.errors import NotFound
from domain.tenant import Tenant
from storage.database import Reader

_ACTIVE = {"flow": "SELECT true FROM flows WHERE org_id = $1 AND id = $2 AND archived_at IS NULL"}
"""What may be referred to, by its noun."""


async def check_reference(reader: Reader, tenant: Tenant, noun: str, one_id: UUID | None) -> None:
    """Raises NotFound for an id of nothing that the tenant has; None refers to nothing."""
    if one_id is not None and not await reader.value(_ACTIVE[noun], tenant.org_id, one_id):
        raise NotFound(f"There is no {noun} {one_id}.")
