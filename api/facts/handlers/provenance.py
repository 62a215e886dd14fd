"""Handlers of provenance. Signatures are checked in a thread, outside any transaction."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from api.facts.schemas.provenance import ProvenanceIn, ProvenanceOut, VerificationOut
from api.http.calls import Call
from api.http.dry_runs import Created, DryRun, created
from domain.facts.provenance import ProvenanceKey
from integrations.formats.dsse.verify import Unverifiable
from integrations.formats.intoto.verify import check, read_stated
from storage.facts.commands import provenance as commands
from storage.facts.queries import provenance as queries
from storage.facts.queries.provenance_keys import active_keys


async def record_provenance(
    call: Call, trail_id: UUID, artifact_id: UUID, body: ProvenanceIn, dry_run: DryRun = False
) -> Created[ProvenanceOut]:
    """Record the provenance of an artifact and verify its signature.

    Provenance is verified only by a valid signature of a registered key over a statement about the digest of this
    artifact. All other provenance is recorded as unverified; `message` says why.
    """
    async with call.read() as reader:
        subject = await queries.get_subject(reader, call.tenant, trail_id, artifact_id)
        keys = await active_keys(reader, call.tenant)
    new = await asyncio.to_thread(_checked, body, subject, keys)
    async with call.transaction(dry_run=dry_run) as tx:
        provenance = await commands.record_provenance(tx, call.tenant, new, call.actor)
    return created(ProvenanceOut.of(provenance, call), dry_run=dry_run)


def _checked(body: ProvenanceIn, subject: queries.Subject, keys: Sequence[ProvenanceKey]) -> commands.NewProvenance:
    try:
        stated = read_stated(body.envelope_text(), subject.digest)
    except Unverifiable as error:
        claim = body.to_claim(subject.digest, None, error.reason)
    else:
        claim = body.to_claim(subject.digest, stated)
    return commands.NewProvenance(subject, claim, check(claim, keys))


async def get_provenance(call: Call, trail_id: UUID, artifact_id: UUID) -> ProvenanceOut:
    """Get the provenance of an artifact with its latest check."""
    async with call.read() as reader:
        return ProvenanceOut.of(await queries.get_provenance(reader, call.tenant, trail_id, artifact_id), call)


async def get_provenance_of_digest(call: Call, digest: str) -> ProvenanceOut:
    """Get the provenance of an artifact by its digest.

    Returns the provenance of the latest reported artifact with this digest that has any.
    """
    async with call.read() as reader:
        return ProvenanceOut.of(await queries.get_provenance_of_digest(reader, call.tenant, digest), call)


async def verify_provenance(
    call: Call, trail_id: UUID, artifact_id: UUID, dry_run: DryRun = False
) -> Created[VerificationOut]:
    """Verify recorded provenance again with the current keys.

    The check is recorded if its outcome differs from the previous one; `message` says whether it was.
    """
    async with call.read() as reader:
        subject = await queries.get_subject(reader, call.tenant, trail_id, artifact_id)
        known = await queries.find_provenance(reader, call.tenant, subject)
        keys = await active_keys(reader, call.tenant)
    if known is None:
        return created(VerificationOut.none(artifact_id), dry_run=dry_run)
    finding = await asyncio.to_thread(check, known.claim, keys)
    async with call.transaction(dry_run=dry_run) as tx:
        provenance, added = await commands.record_check(tx, call.tenant, subject, finding, call.actor)
    return created(VerificationOut.checked(artifact_id, provenance.check, added=added), dry_run=dry_run)
