"""Reading workload identities, and finding the principal of a CI job."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.identity.permissions import Principal
from domain.identity.quotas import Quota
from domain.identity.workload_identities import CiIssuer, Rule, WorkloadIdentity, deciding
from domain.identity.workloads import Workload, WorkloadProvider, normal_repository
from domain.tenant import Tenant
from storage.counters import NO_PARENT
from storage.database import Reader, Row
from storage.identity.queries.credentials import principal_in
from storage.paging import Listing, Page, Window
from storage.rows import columns, from_row

_OF_PRINCIPAL = {"name", "description", "role", "is_active", "last_used_at"}
_IDENTITIES = Listing(
    "workload identity",
    f"{columns(WorkloadIdentity, prefix='w.', but=_OF_PRINCIPAL)}, p.name, p.description, m.role, "
    "p.disabled_at IS NULL AS is_active, u.last_used_at",
    "workload_identities w JOIN principals p ON p.id = w.principal_id "
    "JOIN memberships m ON m.org_id = w.org_id AND m.principal_id = w.principal_id AND m.archived_at IS NULL "
    "LEFT JOIN workload_identity_uses u ON u.workload_identity_id = w.id",
    from_row(WorkloadIdentity, provider=WorkloadProvider),
    alias="w.",
    archivable=True,
    counted="workload_identities w",
)


async def get_workload_identity(reader: Reader, tenant: Tenant, identity_id: UUID) -> WorkloadIdentity:
    """Return a workload identity. Raises NotFound."""
    return await _IDENTITIES.get(reader, tenant, identity_id)


async def list_workload_identities(reader: Reader, tenant: Tenant, window: Window) -> Page[WorkloadIdentity]:
    """List the workload identities, oldest first."""
    return await _IDENTITIES.page(reader, tenant, window, counter=(Quota.WORKLOAD_IDENTITIES, NO_PARENT))


_PROVIDER = "SELECT provider FROM workload_identities WHERE org_id = $1 AND issuer = $2 AND archived_at IS NULL LIMIT 1"


async def provider_of_issuer(reader: Reader, tenant: Tenant, issuer: str) -> WorkloadProvider | None:
    """Return as whose issuer the organisation has it; None for another one."""
    found = await reader.value(_PROVIDER, tenant.org_id, issuer)
    return WorkloadProvider(found) if found else None


@dataclass(frozen=True, slots=True)
class Trust:
    """An organisation, and an issuer of CI tokens that it trusts."""

    tenant: Tenant
    issuer: CiIssuer


_TRUST = """
SELECT o.id, o.slug, w.provider, w.issuer
FROM organisations o
JOIN workload_identities w ON w.org_id = o.id AND w.archived_at IS NULL
JOIN principals p ON p.id = w.principal_id AND p.disabled_at IS NULL
WHERE o.slug = $1 AND o.archived_at IS NULL AND w.issuer = $2
LIMIT 1
"""


async def trust_in(reader: Reader, slug: str, issuer: str) -> Trust | None:
    """Return the organisation if an active workload identity of it names the issuer; the issuer ends with no slash."""
    row = await reader.row(_TRUST, slug, issuer)
    if row is None:
        return None
    return Trust(Tenant(row["id"], row["slug"]), CiIssuer(WorkloadProvider(row["provider"]), row["issuer"]))


_CANDIDATES = """
SELECT p.id, p.kind, w.org_id, o.slug, m.role, w.id AS credential_id, 'workload' AS credential_kind,
  NULL::text[] AS permissions, w.scopes, w.repository_id, w.ref_pattern, w.environment
FROM workload_identities w
JOIN principals p ON p.id = w.principal_id AND p.disabled_at IS NULL
JOIN organisations o ON o.id = w.org_id AND o.archived_at IS NULL
JOIN memberships m ON m.org_id = w.org_id AND m.principal_id = p.id AND m.archived_at IS NULL
WHERE w.org_id = $1 AND w.issuer = $2 AND w.repository = $3 AND w.provider = $4 AND w.archived_at IS NULL
ORDER BY w.created_at, w.id
"""
_rule = from_row(Rule)


async def principal_of_job(reader: Reader, trust: Trust, job: Workload) -> Principal | None:
    """Return the principal as which a job acts: that of the narrowest active identity that admits it; else None."""
    rows = {row["id"]: row for row in await _candidates(reader, trust, job)}
    found = deciding([_rule(row) for row in rows.values()], job)
    return principal_in(rows[found.id]) if found else None


async def knows_repository(reader: Reader, trust: Trust, job: Workload) -> bool:
    """Return whether an active identity is for the job's repository, whatever the ref and the environment."""
    return any(_rule(row).is_of(job) for row in await _candidates(reader, trust, job))


async def _candidates(reader: Reader, trust: Trust, job: Workload) -> Sequence[Row]:
    """Return the active identities for the name of the job's repository, the oldest first."""
    provider, issuer = trust.issuer.provider, trust.issuer.issuer
    repository = normal_repository(provider, job.repository)
    return await reader.rows(_CANDIDATES, trust.tenant.org_id, issuer, repository, provider.value)
