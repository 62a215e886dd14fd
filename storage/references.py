"""Checking that referenced records exist, for commands of the core, which must not import the surfaces."""

from collections.abc import Sequence
from uuid import UUID

from domain.errors import Invalid, NotFound
from domain.identity.scopes import Scopes
from domain.tenant import Tenant
from storage.database import Transaction

_ACTIVE = {"flow": "SELECT true FROM flows WHERE org_id = $1 AND id = $2 AND archived_at IS NULL FOR KEY SHARE"}
"""The query that finds an active record by noun, and keeps it from being archived until the transaction ends."""


async def check_reference(tx: Transaction, tenant: Tenant, noun: str, one_id: UUID | None) -> None:
    """Raise NotFound unless the tenant has an active record of that id; None is always valid."""
    if one_id is not None and not await tx.value(_ACTIVE[noun], tenant.org_id, one_id):
        raise NotFound(f"There is no {noun} {one_id}.")


_MISSING_FLOWS = """
SELECT wanted.id FROM unnest($2::uuid[]) AS wanted(id)
WHERE NOT EXISTS (SELECT FROM flows f WHERE f.org_id = $1 AND f.id = wanted.id AND f.archived_at IS NULL)
"""


async def check_scoped_flows(tx: Transaction, tenant: Tenant, scopes: Sequence[str] | None) -> None:
    """Raise Invalid for a scope that names a flow which no active flow of the tenant is."""
    flow_ids = Scopes.of(scopes or ()).flows
    if flow_ids and (missing := await tx.rows(_MISSING_FLOWS, tenant.org_id, flow_ids)):
        raise Invalid.of("scopes", f"there is no flow {', '.join(str(row['id']) for row in missing)}")
