"""Handlers of test coverage."""

from uuid import UUID

from api.facts.grouped import ATTESTATIONS
from api.facts.schemas.coverage import CoverageIn, CoverageOut
from api.http.calls import Call, Reply
from api.http.dry_runs import Created, DryRun, created
from api.http.paging import ListQuery, list_reply
from storage.facts.queries.coverage import list_coverage as coverage_of


async def report_coverage(
    call: Call, trail_id: UUID, body: CoverageIn, dry_run: DryRun = False
) -> Created[CoverageOut]:
    """Report test coverage on a trail.

    The report is recorded as an attestation of type `test-coverage`. It is PASSED when there is no minimum or every
    metric reaches it.
    """
    new = body.to_command(trail_id, call.actor)
    attestation = await call.request.app[ATTESTATIONS].run(call, new, dry_run=dry_run)
    return created(CoverageOut.of(attestation, call), dry_run=dry_run)


async def list_coverage(call: Call, trail_id: UUID, query: ListQuery) -> Reply[list[CoverageOut]]:
    """List the coverage reports of a trail, oldest first."""
    async with call.read() as reader:
        page = await coverage_of(reader, call.tenant, trail_id, query.window())
    return list_reply(call, page, CoverageOut)
