"""Reading attestations."""

from collections.abc import Sequence
from uuid import UUID

from domain.errors import NotFound
from domain.facts.attestations import Attestation, EvidenceSummary, ResultStatus
from domain.tenant import Tenant
from storage.database import Reader, Row
from storage.facts.queries.scoping import limits_on_trail
from storage.facts.queries.trails import get_trail
from storage.paging import Listing, Page, Window

_WITH_RESULT = """
attestations a
JOIN LATERAL (
  SELECT n, status, reason, details FROM attestation_results
  WHERE attestation_id = a.id AND n = coalesce((SELECT result_n FROM judgements WHERE attestation_id = a.id), 1)
  OFFSET 0
) r ON true
"""
"""With the result that decides. OFFSET 0 keeps PostgreSQL from reading whole tables while it has no statistics."""

_WITH_FILE = f"""
{_WITH_RESULT}
LEFT JOIN LATERAL (
  SELECT digest, name, size FROM evidence WHERE org_id = a.org_id AND attestation_id = a.id
  ORDER BY created_at DESC, id DESC LIMIT 1
) f ON true
"""

_COLUMNS = """
a.id, a.org_id, a.trail_id, a.type, a.name, a.identity, a.run, a.slot, a.digest, a.git_commit, a.origin, a.source_id,
coalesce(r.details, a.details) AS details, a.description, a.evidence_url, a.user_data, a.payload, a.claimed_by,
a.observed_at, a.created_at, r.n AS result_n, r.status, r.reason,
f.digest AS file_digest, f.name AS file_name, f.size AS file_size
"""


def _made(row: Row) -> Attestation:
    fields = dict(row)
    digest, name, size = fields.pop("file_digest"), fields.pop("file_name"), fields.pop("file_size")
    return Attestation(**fields, evidence=EvidenceSummary(digest, name, size) if digest else None)


ATTESTATIONS = Listing(
    "attestation", _COLUMNS, _WITH_FILE, _made, alias="a.", counted=_WITH_RESULT, limits=limits_on_trail("a")
)


async def get_attestation(reader: Reader, tenant: Tenant, trail_id: UUID, attestation_id: UUID) -> Attestation:
    """Return one attestation of a trail. Raises NotFound, also for one of another trail."""
    where = ATTESTATIONS.of(tenant).and_("a.trail_id = {} AND a.id = {}", trail_id, attestation_id)
    row = await reader.row(f"{ATTESTATIONS.select} WHERE {where}", *where.values)
    if row is None:
        raise NotFound(f"There is no attestation {attestation_id} on trail {trail_id}.")
    return _made(row)


async def list_attestations(
    reader: Reader,
    tenant: Tenant,
    trail_id: UUID,
    window: Window,
    *,
    type_: str | None = None,
    name: str | None = None,
    status: ResultStatus | None = None,
) -> Page[Attestation]:
    """List the attestations of a trail with the results that decide, oldest first. Raises NotFound for the trail.

    `status` filters by the result that decides.
    """
    await get_trail(reader, tenant, trail_id)
    return await ATTESTATIONS.page(
        reader,
        tenant.unscoped,
        window,
        within={"a.trail_id = {}": trail_id},
        filters={"a.type = {}": type_, "a.name = {}": name, "r.status = {}": status},
        counter=("attestations", trail_id),
    )


_COUNTS = f"""
SELECT a.type, r.status, count(*) AS n FROM {_WITH_RESULT}
WHERE a.org_id = $1 AND a.trail_id = $2 GROUP BY a.type, r.status ORDER BY a.type, r.status
"""


async def count_by_type(reader: Reader, tenant: Tenant, trail_id: UUID) -> dict[tuple[str, ResultStatus], int]:
    """Count a trail's attestations by type and status."""
    rows = await reader.rows(_COUNTS, tenant.org_id, trail_id)
    return {(row["type"], ResultStatus(row["status"])): row["n"] for row in rows}


async def attestations_of_source(reader: Reader, tenant: Tenant, source_id: UUID) -> Sequence[UUID]:
    """Return the ids of the attestations that one delivery recorded."""
    rows = await reader.rows(
        "SELECT id FROM attestations WHERE org_id = $1 AND source_id = $2 ORDER BY id", tenant.org_id, source_id
    )
    return [row["id"] for row in rows]
