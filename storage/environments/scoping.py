"""How scopes of credentials limit environments: by their ids."""

from collections.abc import Sequence
from uuid import UUID

from domain.errors import NotFound
from domain.identity.scopes import Scopes
from domain.tenant import Tenant
from storage.paging import Alternative


def environment_limits(scopes: Scopes) -> Sequence[Alternative]:
    """Limit rows of `environments e`."""
    return (Alternative("e.id = {}", "uuid", scopes.environments),)


def check_environment_scope(tenant: Tenant, environment_id: UUID) -> None:
    """Raise NotFound, as for an environment that does not exist, unless it is within the tenant's scopes."""
    if tenant.scopes is not None and environment_id not in tenant.scopes.environments:
        raise NotFound(f"There is no environment {environment_id}.")
