"""Locking an environment, so that what depends on its state is changed by one transaction at a time."""

from uuid import UUID

from domain.errors import NotFound
from domain.tenant import Tenant
from storage.database import Row, Transaction
from storage.environments.scoping import check_environment_scope

_HOLD = """
SELECT id, version, last_n, last_content, last_reported_at, last_changed_at FROM environments
WHERE org_id = $1 AND id = $2 AND kind = 'physical' AND archived_at IS NULL FOR NO KEY UPDATE
"""


async def held_environment(tx: Transaction, tenant: Tenant, environment_id: UUID) -> Row:
    """Lock a physical environment until the transaction ends, and return it without its version.

    Raises NotFound, also if it is archived or outside of the tenant's scopes.
    """
    check_environment_scope(tenant, environment_id)
    head = await tx.row(_HOLD, tenant.org_id, environment_id)
    if head is None:
        raise NotFound(f"There is no environment {environment_id} in which artifacts run.")
    return head
