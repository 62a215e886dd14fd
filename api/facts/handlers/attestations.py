"""Attestations (facts.md 7.2)."""

from uuid import UUID

from api.authentication import actor_of, scope_of
from api.calls import Call, Preview, Reply
from api.facts.organisation import check_org_slug
from api.facts.schemas.attestations import AttestationIn, AttestationOut
from api.facts.schemas.dry_runs import DryRun, WouldCreate, created
from api.facts.schemas.paging import PageOut, PageQuery, list_headers, page_out
from api.writers import WRITERS, Report
from domain.facts.attestations import Attestation
from storage.facts.commands.attestations import record_attestations
from storage.facts.queries import attestations as queries


async def record_attestation(
    call: Call, trail_id: UUID, body: AttestationIn, dry_run: DryRun = False
) -> AttestationOut | Preview[WouldCreate[AttestationOut]]:
    """Record an attestation on a trail.

    Answered once it is committed together with its audit event and the trail's new status.
    """
    check_org_slug(call, body.org_slug)
    caller = call.caller
    new = body.attestation(trail_id, actor_of(call.request, caller, call.request_id))
    report = Report(scope_of(caller), new)
    attestation = await (_rehearse(call, report) if dry_run else call.request.app[WRITERS].reports.submit(report))
    return created(AttestationOut.of(attestation, caller.org_slug), dry_run=dry_run)


async def _rehearse(call: Call, report: Report) -> Attestation:
    async with call.services.database.transaction(dry_run=True) as tx:
        [attestation] = await record_attestations(tx, report.scope, [report.attestation])
    return attestation


async def list_attestations(call: Call, trail_id: UUID, query: PageQuery) -> Reply[PageOut[AttestationOut]]:
    """List the attestations of a trail as a page object, oldest first."""
    caller = call.caller
    async with call.services.database.read() as reader:
        page = await queries.list_attestations(reader, scope_of(caller), trail_id, query.window())
    body = page_out(page, lambda attestation: AttestationOut.of(attestation, caller.org_slug))
    return Reply(body, headers=list_headers(call.request, page))
