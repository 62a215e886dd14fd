"""Reading deployments: what runs or ran where, and since when."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.environments.deployments import Deployment
from domain.facts.digests import normalise_digest
from domain.tenant import Tenant
from storage.database import Reader
from storage.environments.queries.environments import get_environment
from storage.paging import Alternative, Listing, Page, Window
from storage.rows import from_row

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


MAX_PLACES = 20
"""Environments that are named for one digest: those where it was deployed last."""


@dataclass(frozen=True, slots=True)
class Place:
    """An environment in which a digest runs now, under a name, and since when."""

    environment_id: UUID
    environment_name: str
    name: str
    tag: str | None
    deployed_at: datetime


_place = from_row(Place)
_PLACES = f"""
SELECT found.*
FROM unnest($2::text[]) AS wanted(digest)
CROSS JOIN LATERAL (
  SELECT d.digest, d.environment_id, e.name AS environment_name, d.name, d.tag, d.deployed_at
  FROM deployments d JOIN environments e ON e.id = d.environment_id AND e.archived_at IS NULL
  WHERE d.org_id = $1 AND d.digest = wanted.digest AND d.removed_n IS NULL
    AND ($3::uuid[] IS NULL OR d.environment_id = ANY($3))
  ORDER BY d.deployed_at DESC, d.id DESC LIMIT {MAX_PLACES}
) found
"""


async def places_of_digests(reader: Reader, tenant: Tenant, digests: Collection[str]) -> Mapping[str, Sequence[Place]]:
    """Return where digests run now, the latest deployment first, with one statement; see MAX_PLACES."""
    within = list(tenant.scopes.environments) if tenant.scopes else None
    found: dict[str, list[Place]] = {digest: [] for digest in digests}
    for row in await reader.rows(_PLACES, tenant.org_id, list(found), within) if found else ():
        found[row["digest"]].append(_place(row))
    return found


_RUNNING = """removed_n IS NULL AND NOT EXISTS (
  SELECT FROM environments e WHERE e.id = deployments.environment_id AND e.archived_at IS NOT NULL
)"""
"""Nothing is known to run in an archived environment, although nobody reported that it ended."""


def _state(*, running: bool | None) -> dict[str, None]:
    if running is None:
        return {}
    return {_RUNNING if running else f"NOT ({_RUNNING})": None}
