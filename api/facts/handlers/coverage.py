"""Test coverage (facts.md 20.1)."""

from uuid import UUID

from api.facts.grouped import ATTESTATIONS
from api.facts.schemas.coverage import CoverageIn, CoverageOut
from api.http.calls import Call, Preview, Reply
from api.http.dry_runs import DryRun, WouldCreate, created
from api.http.paging import ListQuery, list_headers
from storage.facts.queries.coverage import list_coverage as coverage_of


async def report_coverage(
    call: Call, trail_id: UUID, body: CoverageIn, dry_run: DryRun = False
) -> CoverageOut | Preview[WouldCreate[CoverageOut]]:
    """Report test coverage on a trail.

    It is kept as an attestation of type `test-coverage`: PASSED without a minimum, else when every metric reaches it.
    """
    new = body.attestation(trail_id, call.actor)
    attestation = await call.request.app[ATTESTATIONS].run(call, new, dry_run=dry_run)
    return created(CoverageOut.of(attestation), dry_run=dry_run)


async def list_coverage(call: Call, trail_id: UUID, query: ListQuery) -> Reply[list[CoverageOut]]:
    """List the coverage reported on a trail, oldest first."""
    async with call.services.database.read() as reader:
        page = await coverage_of(reader, call.tenant, trail_id, query.window())
    return Reply([CoverageOut.of(report) for report in page.items], headers=list_headers(call.request, page))
