"""Reading attestations."""

from collections.abc import Sequence
from uuid import UUID

from domain.facts.attestations import Attestation
from storage.counters import total
from storage.database import Reader
from storage.facts.queries.trails import get_trail
from storage.paging import Listing, Page, Window, fetch_page, with_total
from storage.scope import Scope

_ATTESTATIONS = """
SELECT a.id, a.org_id, a.trail_id, a.type, a.name, a.digest, a.origin, a.source_id, a.details, a.description,
       a.evidence_url, a.user_data, a.claimed_by, a.observed_at, a.created_at, r.status, r.reason
FROM attestations a
JOIN LATERAL (
  SELECT status, reason FROM attestation_results WHERE attestation_id = a.id ORDER BY n DESC LIMIT 1
) r ON true
"""
_LISTING = Listing(_ATTESTATIONS, "a.created_at", "a.id", lambda row: Attestation(**row))


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
