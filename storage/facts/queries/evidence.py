"""Reading evidence."""

from dataclasses import dataclass
from uuid import UUID

from domain.errors import NotFound
from domain.facts.evidence import Evidence
from domain.tenant import Tenant
from storage.database import Reader
from storage.facts.queries.scoping import limits_on_trail
from storage.facts.queries.trails import get_trail
from storage.paging import Listing, Page, Where, Window

_EVIDENCE = Listing.plain(Evidence, "evidence", "evidence", limits=limits_on_trail("evidence"))
_TARGETS = limits_on_trail("attestations")


@dataclass(frozen=True, slots=True)
class EvidenceTarget:
    """An attestation that evidence is uploaded for. `type` selects the processor that reads the file."""

    trail_id: UUID
    attestation_id: UUID
    type: str


async def find_target(
    reader: Reader, tenant: Tenant, attestation_id: UUID, trail_id: UUID | None = None
) -> EvidenceTarget:
    """Find an attestation, on the given trail if any. Raises NotFound."""
    where = Where(
        ("org_id = $1", "id = $2", "($3::uuid IS NULL OR trail_id = $3)"), (tenant.org_id, attestation_id, trail_id)
    ).within(tenant, _TARGETS)
    row = await reader.row(
        f"SELECT trail_id, id AS attestation_id, type FROM attestations WHERE {where}", *where.values
    )
    if row is None:
        place = f" on trail {trail_id}" if trail_id else ""
        raise NotFound(f"There is no attestation {attestation_id}{place}.")
    return EvidenceTarget(**row)


async def get_evidence(reader: Reader, tenant: Tenant, evidence_id: UUID) -> Evidence:
    """Return one evidence record. Raises NotFound, also for another organisation's."""
    return await _EVIDENCE.get(reader, tenant, evidence_id)


async def find_by_digest(reader: Reader, tenant: Tenant, digest: str) -> Evidence:
    """Return the organisation's oldest evidence with a digest; a stored file wins over a reference. Raises NotFound.

    Stored content is shared between organisations, access to it is not: an organisation that only recorded a reference
    with the digest must not get the file that another organisation stored.
    """
    where = _EVIDENCE.of(tenant).and_("digest = {}", digest)
    for found in (where.and_("external_url IS NULL"), where):
        row = await reader.row(f"{_EVIDENCE.select} WHERE {found} ORDER BY created_at, id LIMIT 1", *found.values)
        if row is not None:
            return _EVIDENCE.make(row)
    raise NotFound(f"There is no evidence with the digest {digest}.")


async def list_trail_evidence(reader: Reader, tenant: Tenant, trail_id: UUID, window: Window) -> Page[Evidence]:
    """List the evidence of a trail's attestations, oldest first. Raises NotFound for the trail."""
    await get_trail(reader, tenant, trail_id)
    return await _EVIDENCE.page(
        reader, tenant.unscoped, window, within={"trail_id = {}": trail_id}, counter=("evidence", trail_id)
    )


async def list_attestation_evidence(
    reader: Reader, tenant: Tenant, target: EvidenceTarget, window: Window
) -> Page[Evidence]:
    """List the evidence of an attestation, oldest first."""
    return await _EVIDENCE.page(reader, tenant.unscoped, window, within={"attestation_id = {}": target.attestation_id})


_STORED = """
SELECT DISTINCT digest FROM evidence
WHERE org_id = $1 AND (org_id, digest) > ($1, $2) AND external_url IS NULL ORDER BY digest LIMIT $3
"""
"""The pair is compared, so that the index that begins with the organisation is read and not that of all digests."""


async def stored_files(reader: Reader, tenant: Tenant, *, after: str, limit: int) -> list[str]:
    """Return the digests, in order, of evidence files that this installation stores."""
    return [row["digest"] for row in await reader.rows(_STORED, tenant.org_id, after, limit)]
