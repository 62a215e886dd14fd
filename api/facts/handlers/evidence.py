"""Evidence files: uploads, references, lists, downloads and their verification (facts.md 7.3-7.5, 20.2)."""

import json
from uuid import UUID

import structlog
from aiohttp import web

from api.facts.evidence_reading import READERS
from api.facts.schemas.evidence import (
    DeclaredDigest,
    EvidenceForm,
    EvidenceOut,
    EvidenceVerificationOut,
    ReferenceIn,
)
from api.http.calls import Call, Preview, Reply
from api.http.downloads import Download, send
from api.http.dry_runs import DryRun, WouldCreate, created
from api.http.paging import ListQuery, list_headers
from domain.audit.events import Actor
from domain.errors import Invalid
from domain.facts.attestations import ResultStatus
from domain.facts.digests import normalise_digest
from domain.facts.evidence import Evidence
from integrations.formats.parsed import Reading
from storage.blobs.store import Rehearsal
from storage.facts.commands.evidence import attach_file, attach_reference, note_access
from storage.facts.commands.results import NewResult, add_results
from storage.facts.queries import evidence as queries
from storage.facts.queries.evidence import Target
from storage.paging import Page

log = structlog.get_logger()


async def add_evidence(
    call: Call,
    trail_id: UUID,
    attestation_id: UUID,
    *,
    body: ReferenceIn | None = None,
    form: EvidenceForm | None = None,
    declared: DeclaredDigest = None,
    dry_run: DryRun = False,
) -> EvidenceOut | Preview[WouldCreate[EvidenceOut]]:
    """Attach evidence to an attestation.

    A multipart form uploads the file as its part `file`; a JSON body refers to one that is kept elsewhere. A file of a
    type that is read (junit, sarif, snyk, sonar, jira) adds a result to the attestation: results are never replaced.
    The form's field `sha256` or the header `X-Content-SHA256` (or `Digest`) says which hash the file must have; a file
    with any other is refused, and nothing is kept.
    """
    if form is None and body is None:
        raise Invalid("Send a multipart form whose part `file` is the evidence, or JSON with an externalUrl.")
    async with call.services.database.read() as reader:
        target = await queries.find_target(reader, call.tenant, attestation_id, trail_id)
    if form is not None:
        return await _upload(call, target, form, declared, dry_run=dry_run)
    assert body is not None  # noqa: S101 - one of the two is there
    return await _refer(call, target, body, dry_run=dry_run)


async def add_attestation_evidence(
    call: Call, attestation_id: UUID, form: EvidenceForm, declared: DeclaredDigest = None, dry_run: DryRun = False
) -> EvidenceOut | Preview[WouldCreate[EvidenceOut]]:
    """Upload evidence by the id of its attestation alone.

    As a multipart form with the part `file`, or with the file as the whole body, whatever its media type says of it.
    """
    async with call.services.database.read() as reader:
        target = await queries.find_target(reader, call.tenant, attestation_id)
    return await _upload(call, target, form, declared, dry_run=dry_run)


async def _upload(
    call: Call, target: Target, form: EvidenceForm, declared: str | None, *, dry_run: bool
) -> EvidenceOut | Preview[WouldCreate[EvidenceOut]]:
    """The file is read before the transaction: that may take half a minute."""
    form.check(declared)
    services, staged, tenant = call.services, form.file.path, call.tenant
    actor = call.actor
    reading = await call.request.app[READERS].read(target.type, form.file)
    blobs = Rehearsal() if dry_run else services.blobs
    most = services.settings.evidence_max_files
    async with services.database.transaction(dry_run=dry_run) as tx:
        evidence = await attach_file(tx, tenant, form.evidence(target, actor), staged, blobs, most=most)
        if reading is not None:
            await add_results(tx, tenant, [_result(target, evidence, reading, actor)])
    return created(EvidenceOut.of(evidence), dry_run=dry_run)


def _result(target: Target, evidence: Evidence, reading: Reading, actor: Actor) -> NewResult:
    return NewResult(
        trail_id=target.trail_id,
        attestation_id=target.attestation_id,
        status=ResultStatus.of(passed=reading.passed),
        actor=actor,
        details=json.dumps(dict(reading.details), ensure_ascii=False, separators=(",", ":")),
        reason=reading.reason,
        processor=target.type.lower(),
        evidence_id=evidence.id,
    )


async def _refer(
    call: Call, target: Target, body: ReferenceIn, *, dry_run: bool
) -> EvidenceOut | Preview[WouldCreate[EvidenceOut]]:
    new = body.evidence(target, call.actor)
    most = call.services.settings.evidence_max_files
    async with call.services.database.transaction(dry_run=dry_run) as tx:
        evidence = await attach_reference(tx, call.tenant, new, most=most)
    return created(EvidenceOut.of(evidence), dry_run=dry_run)


async def list_trail_evidence(call: Call, trail_id: UUID, query: ListQuery) -> Reply[list[EvidenceOut]]:
    """List the evidence of a trail, oldest first."""
    async with call.services.database.read() as reader:
        page = await queries.list_trail_evidence(reader, call.tenant, trail_id, query.window())
    return _listed(call, page)


async def list_attestation_evidence(call: Call, attestation_id: UUID, query: ListQuery) -> Reply[list[EvidenceOut]]:
    """List the evidence of an attestation, oldest first."""
    return _listed(call, await _of_attestation(call, query, attestation_id))


async def list_trail_attestation_evidence(
    call: Call, trail_id: UUID, attestation_id: UUID, query: ListQuery
) -> Reply[list[EvidenceOut]]:
    """List the evidence of an attestation of this trail, oldest first."""
    return _listed(call, await _of_attestation(call, query, attestation_id, trail_id))


async def _of_attestation(
    call: Call, query: ListQuery, attestation_id: UUID, trail_id: UUID | None = None
) -> Page[Evidence]:
    tenant = call.tenant
    async with call.services.database.read() as reader:
        target = await queries.find_target(reader, tenant, attestation_id, trail_id)
        return await queries.list_attestation_evidence(reader, tenant, target, query.window())


def _listed(call: Call, page: Page[Evidence]) -> Reply[list[EvidenceOut]]:
    return Reply([EvidenceOut.of(evidence) for evidence in page.items], headers=list_headers(call.request, page))


async def download_evidence(call: Call, sha256: str) -> web.StreamResponse:
    """Download evidence by its SHA-256.

    Of several files with this content the oldest one names it. The hash is checked on the way: content that was altered
    is never delivered whole. Evidence that is kept elsewhere is answered with its description in JSON, `externalUrl`
    included, never with a redirect to an address that somebody else chose. Every download is audited.
    """
    async with call.services.database.read() as reader:
        evidence = await queries.find_by_digest(reader, call.tenant, normalise_digest(sha256))
    if evidence.external_url is not None:
        text = EvidenceOut.of(evidence).model_dump_json(by_alias=True)
        return web.Response(text=text, content_type="application/json")

    async def given(part: str | None) -> None:
        actor = call.actor
        async with call.services.database.transaction() as tx:
            await note_access(tx, call.tenant, evidence, actor, part=part)

    download = Download(evidence.digest, evidence.size, evidence.name, evidence.media_type)
    return await send(call.request, call.services.blobs, download, given)


async def verify_evidence(call: Call, evidence_id: UUID) -> EvidenceVerificationOut:
    """Verify stored evidence.

    Its content is read to the end and hashed anew. Evidence that is kept elsewhere cannot be verified here.
    """
    async with call.services.database.read() as reader:
        evidence = await queries.get_evidence(reader, call.tenant, evidence_id)
    kept = evidence.external_url is None
    found = await call.services.blobs.measure(evidence.digest) if kept else None
    result = EvidenceVerificationOut.of(evidence, found, call.services.clock.now())
    if kept and not result.verified:
        log.error("evidence.tampered", digest=evidence.digest, reason=result.message)
    return result
