"""Reading reports of test coverage: the attestations that carry metrics."""

from uuid import UUID

from domain.facts.attestations import Attestation
from domain.facts.coverage import COVERAGE, COVERAGE_TYPE
from storage.database import Reader
from storage.facts.queries.attestations import ATTESTATIONS
from storage.facts.queries.trails import get_trail
from storage.paging import Page, Window, capped_count, fetch_page, with_total
from storage.tenant import Tenant


async def list_coverage(reader: Reader, tenant: Tenant, trail_id: UUID, window: Window) -> Page[Attestation]:
    """The coverage reported on a trail, oldest first. Raises NotFound for the trail."""
    await get_trail(reader, tenant, trail_id)
    conditions = ["a.org_id = $1", "a.trail_id = $2", "a.type = $3", "a.payload ? $4"]
    args = [tenant.org_id, trail_id, COVERAGE_TYPE, COVERAGE]
    page = await fetch_page(reader, ATTESTATIONS, conditions, args, window)
    count, capped = await capped_count(reader, "attestations a", conditions, args)
    return with_total(page, count, capped=capped)
