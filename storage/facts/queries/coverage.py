"""Reading test coverage reports: the attestations with coverage metrics."""

from uuid import UUID

from domain.facts.attestations import Attestation
from domain.facts.coverage import COVERAGE, COVERAGE_TYPE
from domain.tenant import Tenant
from storage.database import Reader
from storage.facts.queries.attestations import ATTESTATIONS
from storage.facts.queries.trails import get_trail
from storage.paging import Page, Window


async def list_coverage(reader: Reader, tenant: Tenant, trail_id: UUID, window: Window) -> Page[Attestation]:
    """List the coverage reported on a trail, oldest first. Raises NotFound for the trail."""
    await get_trail(reader, tenant, trail_id)
    within = {"a.trail_id = {}": trail_id, "a.type = {}": COVERAGE_TYPE, "a.payload ? {}": COVERAGE}
    return await ATTESTATIONS.page(reader, tenant.unscoped, window, within=within)
