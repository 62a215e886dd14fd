"""Provenance (facts.md 6.4). Signatures are checked in a thread, outside any transaction."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from api.facts.schemas.provenance import ProvenanceIn, ProvenanceOut, VerificationOut
from api.http.calls import Call, Preview
from api.http.dry_runs import DryRun, WouldCreate, created
from domain.facts.provenance import ProvenanceKey
from integrations.formats.intoto.verify import check, read_stated
from storage.facts.commands import provenance as commands
from storage.facts.queries import provenance as queries
from storage.facts.queries.provenance_keys import active_keys


async def record_provenance(
    call: Call, trail_id: UUID, artifact_id: UUID, body: ProvenanceIn, dry_run: DryRun = False
) -> ProvenanceOut | Preview[WouldCreate[ProvenanceOut]]:
    """Record who built an artifact, and check the proof of it.

    It is verified by a good signature of a registered key over a statement about this artifact's digest, and by
    nothing else. Whatever proves less is recorded as unverified, and `message` says why.
    """
    tenant = call.tenant
    async with call.services.database.read() as reader:
        subject = await queries.get_subject(reader, tenant, trail_id, artifact_id)
        keys = await active_keys(reader, tenant)
    new = await asyncio.to_thread(_examined, body, subject, keys)
    actor = call.actor
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        provenance = await commands.record_provenance(tx, tenant, new, actor)
    return created(ProvenanceOut.of(provenance), dry_run=dry_run)


def _examined(body: ProvenanceIn, subject: queries.Subject, keys: Sequence[ProvenanceKey]) -> commands.NewProvenance:
    claim = body.claim(subject.digest, read_stated(body.envelope_text(), subject.digest))
    return commands.NewProvenance(subject, claim, check(claim, keys))


async def get_provenance(call: Call, trail_id: UUID, artifact_id: UUID) -> ProvenanceOut:
    """Read the provenance of an artifact, with the outcome of its newest check."""
    async with call.services.database.read() as reader:
        return ProvenanceOut.of(await queries.get_provenance(reader, call.tenant, trail_id, artifact_id))


async def get_provenance_of_digest(call: Call, digest: str) -> ProvenanceOut:
    """Read provenance by digest.

    Of all artifacts reported with this digest it is that of the newest one that has any.
    """
    async with call.services.database.read() as reader:
        return ProvenanceOut.of(await queries.get_provenance_of_digest(reader, call.tenant, digest))


async def verify_provenance(
    call: Call, trail_id: UUID, artifact_id: UUID, dry_run: DryRun = False
) -> VerificationOut | Preview[WouldCreate[VerificationOut]]:
    """Check recorded provenance anew, with the keys that are registered now.

    A check that finds something else than the last one is recorded; `message` says whether it was.
    """
    tenant = call.tenant
    async with call.services.database.read() as reader:
        subject = await queries.get_subject(reader, tenant, trail_id, artifact_id)
        known = await queries.find_provenance(reader, tenant, subject)
        keys = await active_keys(reader, tenant)
    if known is None:
        return created(VerificationOut.none(artifact_id), dry_run=dry_run)
    finding = await asyncio.to_thread(check, known.claim, keys)
    actor = call.actor
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        provenance, added = await commands.record_check(tx, tenant, subject, finding, actor)
    return created(VerificationOut.of(artifact_id, provenance.check, added=added), dry_run=dry_run)
