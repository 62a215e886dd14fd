"""Handlers of attestations."""

from uuid import UUID

from api.facts.grouped import ATTESTATIONS
from api.facts.schemas.attestations import AttestationIn, AttestationOfTrailIn, AttestationOut, AttestationsQuery
from api.http.calls import Call, Reply
from api.http.dry_runs import Created, DryRun, created
from api.http.organisation import check_org_slug
from api.http.paging import PageOut, either_reply
from storage.facts.queries import attestations as queries


async def record_attestation(
    call: Call, trail_id: UUID, body: AttestationIn, dry_run: DryRun = False
) -> Created[AttestationOut]:
    """Record an attestation on a trail.

    The response is sent once the attestation, its audit event and the new status of the trail are committed.
    """
    return await _record(call, trail_id, body, dry_run=dry_run)


async def record_attestation_on_named_trail(
    call: Call, body: AttestationOfTrailIn, dry_run: DryRun = False
) -> Created[AttestationOut]:
    """Record an attestation on the trail named in the body.

    This is the same operation as the one below the path of the trail, for clients that send the trail in the body.
    """
    return await _record(call, body.trail_id, body, dry_run=dry_run)


async def _record(call: Call, trail_id: UUID, body: AttestationIn, *, dry_run: bool) -> Created[AttestationOut]:
    check_org_slug(call, body.org_slug)
    new = body.to_command(trail_id, call.actor)
    attestation = await call.request.app[ATTESTATIONS].run(call, new, dry_run=dry_run)
    return created(AttestationOut.of(attestation, call), dry_run=dry_run)


async def list_attestations(
    call: Call, trail_id: UUID, query: AttestationsQuery
) -> Reply[list[AttestationOut]] | Reply[PageOut[AttestationOut]]:
    """List the attestations of a trail, oldest first.

    The response is an array, or a page object if `page` or `size` is given. The list can be filtered by type, name and
    status.
    """
    async with call.read() as reader:
        page = await queries.list_attestations(reader, call.tenant, trail_id, query.window(), **query.to_filters())
    return either_reply(call, query, page, AttestationOut)


async def get_attestation(call: Call, trail_id: UUID, attestation_id: UUID) -> AttestationOut:
    """Get an attestation of a trail with its status."""
    async with call.read() as reader:
        attestation = await queries.get_attestation(reader, call.tenant, trail_id, attestation_id)
    return AttestationOut.of(attestation, call)
