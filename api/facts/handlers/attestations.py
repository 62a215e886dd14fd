"""Attestations (facts.md 7.2)."""

from uuid import UUID

from api.facts.grouped import ATTESTATIONS
from api.facts.schemas.attestations import AttestationIn, AttestationOfTrailIn, AttestationOut, AttestationsQuery
from api.http.calls import Call, Preview, Reply
from api.http.dry_runs import DryRun, WouldCreate, created
from api.http.organisation import check_org_slug
from api.http.paging import PageOut, list_headers, page_out
from storage.facts.queries import attestations as queries


async def record_attestation(
    call: Call, trail_id: UUID, body: AttestationIn, dry_run: DryRun = False
) -> AttestationOut | Preview[WouldCreate[AttestationOut]]:
    """Record an attestation on a trail.

    Answered once it is committed together with its audit event and the trail's new status.
    """
    return await _record(call, trail_id, body, dry_run=dry_run)


async def record_attestation_on_named_trail(
    call: Call, body: AttestationOfTrailIn, dry_run: DryRun = False
) -> AttestationOut | Preview[WouldCreate[AttestationOut]]:
    """Record an attestation on the trail that the body names.

    The same as on the trail's own path, for clients that know no other (W20).
    """
    return await _record(call, body.trail_id, body, dry_run=dry_run)


async def _record(
    call: Call, trail_id: UUID, body: AttestationIn, *, dry_run: bool
) -> AttestationOut | Preview[WouldCreate[AttestationOut]]:
    check_org_slug(call, body.org_slug)
    caller = call.caller
    new = body.attestation(trail_id, call.actor)
    attestation = await call.request.app[ATTESTATIONS].run(call, new, dry_run=dry_run)
    return created(AttestationOut.of(attestation, caller.org_slug), dry_run=dry_run)


async def list_attestations(call: Call, trail_id: UUID, query: AttestationsQuery) -> Reply[PageOut[AttestationOut]]:
    """List the attestations of a trail as a page object, oldest first.

    Of one type, name and newest status where given.
    """
    caller = call.caller
    async with call.services.database.read() as reader:
        page = await queries.list_attestations(reader, call.tenant, trail_id, query.window(), query.filters())
    body = page_out(page, lambda attestation: AttestationOut.of(attestation, caller.org_slug))
    return Reply(body, headers=list_headers(call.request, page))


async def get_attestation(call: Call, trail_id: UUID, attestation_id: UUID) -> AttestationOut:
    """Read one attestation of a trail with its newest result."""
    caller = call.caller
    async with call.services.database.read() as reader:
        attestation = await queries.get_attestation(reader, call.tenant, trail_id, attestation_id)
    return AttestationOut.of(attestation, caller.org_slug)
