"""Reading attestations."""

from collections.abc import Sequence
from uuid import UUID

from domain.errors import NotFound
from domain.facts.attestations import Attestation, EvidenceSummary
from storage.counters import total
from storage.database import Reader, Row
from storage.facts.queries.trails import get_trail
from storage.paging import Listing, Page, Window, fetch_page, with_total
from storage.scope import Scope

_ATTESTATIONS = """
SELECT a.id, a.org_id, a.trail_id, a.type, a.name, a.slot, a.digest, a.git_commit, a.origin, a.source_id,
       coalesce(r.details, a.details) AS details, a.description, a.evidence_url, a.user_data, a.payload, a.claimed_by,
       a.observed_at, a.created_at, r.n AS result_n, r.status, r.reason,
       f.digest AS file_digest, f.name AS file_name, f.size AS file_size
FROM attestations a
JOIN LATERAL (
  SELECT n, status, reason, details FROM attestation_results WHERE attestation_id = a.id ORDER BY n DESC LIMIT 1
) r ON true
LEFT JOIN LATERAL (
  SELECT digest, name, size FROM evidence WHERE org_id = a.org_id AND attestation_id = a.id
  ORDER BY created_at DESC, id DESC LIMIT 1
) f ON true
"""


def _made(row: Row) -> Attestation:
    fields = dict(row)
    digest, name, size = fields.pop("file_digest"), fields.pop("file_name"), fields.pop("file_size")
    return Attestation(**fields, evidence=EvidenceSummary(digest, name, size) if digest else None)


_LISTING = Listing(_ATTESTATIONS, "a.created_at", "a.id", _made)


async def get_attestation(reader: Reader, scope: Scope, trail_id: UUID, attestation_id: UUID) -> Attestation:
    """One attestation of a trail. Raises NotFound, also for one of another trail."""
    where = "WHERE a.org_id = $1 AND a.trail_id = $2 AND a.id = $3"
    row = await reader.row(f"{_ATTESTATIONS} {where}", scope.org_id, trail_id, attestation_id)
    if row is None:
        raise NotFound(f"There is no attestation {attestation_id} on trail {trail_id}.")
    return _made(row)


async def list_attestations(reader: Reader, scope: Scope, trail_id: UUID, window: Window) -> Page[Attestation]:
    """The attestations of a trail with their newest results, oldest first. Raises NotFound for the trail."""
    await get_trail(reader, scope, trail_id)
    conditions, args = ["a.org_id = $1", "a.trail_id = $2"], [scope.org_id, trail_id]
    page = await fetch_page(reader, _LISTING, conditions, args, window)
    return with_total(page, await total(reader, scope, "attestations", trail_id))


async def attestations_of_source(reader: Reader, scope: Scope, source_id: UUID) -> Sequence[UUID]:
    """The ids of what one delivery recorded."""
    rows = await reader.rows(
        "SELECT id FROM attestations WHERE org_id = $1 AND source_id = $2 ORDER BY id", scope.org_id, source_id
    )
    return [row["id"] for row in rows]
