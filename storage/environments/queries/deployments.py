"""Reading deployments: what runs or ran where, and since when."""

from uuid import UUID

from domain.environments.deployments import Deployment
from domain.facts.digests import normalise_digest
from domain.tenant import Tenant
from storage.database import Reader
from storage.environments.queries.environments import get_environment
from storage.paging import Alternative, Listing, Page, Window

_DEPLOYMENTS = Listing.plain(
    Deployment,
    "deployments",
    "deployment",
    time="deployed_at",
    limits=lambda scopes: (Alternative("environment_id = {}", "uuid", scopes.environments),),
)


async def list_environment_deployments(
    reader: Reader, tenant: Tenant, environment_id: UUID, window: Window, *, running: bool | None = None
) -> Page[Deployment]:
    """List the deployments of an environment. Raises NotFound for the environment."""
    await get_environment(reader, tenant, environment_id)
    within = {"environment_id = {}": environment_id, **_state(running=running)}
    return await _DEPLOYMENTS.page(reader, tenant.unscoped, window, within=within)


async def list_artifact_deployments(
    reader: Reader, tenant: Tenant, digest: str, window: Window, *, running: bool | None = None
) -> Page[Deployment]:
    """List the deployments of a digest, in any spelling, over all environments; an unknown digest has none."""
    within = {"digest = {}": normalise_digest(digest), **_state(running=running)}
    return await _DEPLOYMENTS.page(reader, tenant, window, within=within)


def _state(*, running: bool | None) -> dict[str, None]:
    if running is None:
        return {}
    return {"removed_n IS NULL" if running else "removed_n IS NOT NULL": None}
