"""Test coverage (facts.md 20.1)."""

from uuid import UUID

from api.authentication import actor_of, scope_of
from api.calls import Call, Preview, Reply
from api.facts.schemas.coverage import CoverageIn, CoverageOut
from api.facts.schemas.dry_runs import DryRun, WouldCreate, created
from api.facts.schemas.paging import ListQuery, list_headers
from api.writers import WRITERS
from storage.facts.queries.coverage import list_coverage as coverage_of


async def report_coverage(
    call: Call, trail_id: UUID, body: CoverageIn, dry_run: DryRun = False
) -> CoverageOut | Preview[WouldCreate[CoverageOut]]:
    """Report test coverage on a trail.

    It is kept as an attestation of type `test-coverage`: PASSED without a minimum, else when every metric reaches it.
    """
    new = body.attestation(trail_id, actor_of(call.request, call.caller, call.request_id))
    writer = call.request.app[WRITERS].attestations
    attestation = await writer.run(call, scope_of(call.caller), new, dry_run=dry_run)
    return created(CoverageOut.of(attestation), dry_run=dry_run)


async def list_coverage(call: Call, trail_id: UUID, query: ListQuery) -> Reply[list[CoverageOut]]:
    """List the coverage reported on a trail, oldest first."""
    async with call.services.database.read() as reader:
        page = await coverage_of(reader, scope_of(call.caller), trail_id, query.window())
    return Reply([CoverageOut.of(report) for report in page.items], headers=list_headers(call.request, page))
