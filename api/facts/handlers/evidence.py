"""Handlers of evidence files: uploads, references, lists, downloads and verification."""

import json
from typing import Any
from uuid import UUID

import structlog
from aiohttp import web

from api.facts.schemas.evidence import (
    DeclaredDigest,
    EvidenceForm,
    EvidenceOut,
    EvidenceVerificationOut,
    ReferenceIn,
)
from api.http.calls import Call, Reply
from api.http.dry_runs import Created, DryRun, created
from api.http.evidence_parsing import PARSERS
from api.http.paging import ListQuery, list_reply
from api.http.transport.downloads import Download, send
from domain.audit.events import Actor
from domain.errors import Invalid
from domain.facts.attestations import ResultStatus
from domain.facts.digests import normalise_digest
from domain.facts.evidence import Evidence
from integrations.formats.parsed import ParsedEvidence
from storage.blobs.store import Rehearsal
from storage.facts.commands.evidence import attach_file, attach_reference, note_access
from storage.facts.commands.results import NewResult, add_results
from storage.facts.queries import evidence as queries
from storage.facts.queries.evidence import EvidenceTarget
from storage.paging import Page

log = structlog.get_logger()

_PARSED: web.RequestKey[ParsedEvidence] = web.RequestKey("parsed_evidence", ParsedEvidence)
"""What an uploaded file says; absent if evidence of its attestation's type is not parsed."""


async def parse_upload(
    call: Call,
    *,
    attestation_id: UUID,
    trail_id: UUID | None = None,
    form: EvidenceForm | None = None,
    declared: DeclaredDigest = None,
    **_: Any,
) -> None:
    """Check and parse an uploaded file before any transaction begins: parsing may take half a minute."""
    if form is None:
        return
    async with call.read() as reader:
        target = await queries.find_target(reader, call.tenant, attestation_id, trail_id)
    form.check(declared)
    parsed = await call.request.app[PARSERS].parse(call.caller.org_id, target.type, form.file)
    if parsed is not None:
        call.request[_PARSED] = parsed


async def add_evidence(
    call: Call,
    trail_id: UUID,
    attestation_id: UUID,
    *,
    body: ReferenceIn | None = None,
    form: EvidenceForm | None = None,
    declared: DeclaredDigest = None,
    dry_run: DryRun = False,
) -> Created[EvidenceOut]:
    """Attach evidence to an attestation.

    Send a multipart form with the part `file`, or JSON that refers to a file stored elsewhere. If the attestation type
    is parsed (junit, sarif, snyk, sonar, jira), the file adds a result to the attestation and replaces that of an
    earlier file of the same name. The attestation shows the worst of its files and the report; a PENDING report gives
    way to files.
    The form field `sha256` or the header `X-Content-SHA256` (or `Digest`) declares the hash of the file; a file with
    another hash is rejected and not stored.
    """
    if form is None and body is None:
        raise Invalid("Send a multipart form with the evidence in the part `file`, or JSON with an externalUrl.")
    async with call.read() as reader:
        target = await queries.find_target(reader, call.tenant, attestation_id, trail_id)
    if form is not None:
        return await _upload(call, target, form, declared, dry_run=dry_run)
    assert body is not None  # noqa: S101 - either form or body is given
    return await _refer(call, target, body, dry_run=dry_run)


async def add_attestation_evidence(
    call: Call, attestation_id: UUID, form: EvidenceForm, declared: DeclaredDigest = None, dry_run: DryRun = False
) -> Created[EvidenceOut]:
    """Upload evidence by the id of its attestation.

    Send a multipart form with the part `file`, or the file itself as the body, with any media type.
    """
    async with call.read() as reader:
        target = await queries.find_target(reader, call.tenant, attestation_id)
    return await _upload(call, target, form, declared, dry_run=dry_run)


async def _upload(
    call: Call, target: EvidenceTarget, form: EvidenceForm, declared: str | None, *, dry_run: bool
) -> Created[EvidenceOut]:
    """Attach a file that was parsed before, by `parse_upload`."""
    form.check(declared)
    actor, parsed = call.actor, call.request.get(_PARSED)
    blobs = Rehearsal() if dry_run else call.services.blobs.of(call.caller.org_id)
    new, most = form.to_command(target, actor), call.services.settings.evidence_max_files
    async with call.transaction(dry_run=dry_run) as tx:
        evidence = await attach_file(tx, call.tenant, new, form.file.path, blobs, most=most)
        if parsed is not None:
            await add_results(tx, call.tenant, [_result(target, evidence, parsed, actor)])
    return created(EvidenceOut.of(evidence, call), dry_run=dry_run)


def _result(target: EvidenceTarget, evidence: Evidence, parsed: ParsedEvidence, actor: Actor) -> NewResult:
    return NewResult(
        trail_id=target.trail_id,
        attestation_id=target.attestation_id,
        status=ResultStatus.of(passed=parsed.passed),
        actor=actor,
        details=json.dumps(dict(parsed.details), ensure_ascii=False, separators=(",", ":")),
        reason=parsed.reason,
        processor=target.type.lower(),
        evidence_id=evidence.id,
    )


async def _refer(call: Call, target: EvidenceTarget, body: ReferenceIn, *, dry_run: bool) -> Created[EvidenceOut]:
    new = body.to_command(target, call.actor)
    most = call.services.settings.evidence_max_files
    async with call.transaction(dry_run=dry_run) as tx:
        evidence = await attach_reference(tx, call.tenant, new, most=most)
    return created(EvidenceOut.of(evidence, call), dry_run=dry_run)


async def list_trail_evidence(call: Call, trail_id: UUID, query: ListQuery) -> Reply[list[EvidenceOut]]:
    """List the evidence of a trail, oldest first."""
    async with call.read() as reader:
        page = await queries.list_trail_evidence(reader, call.tenant, trail_id, query.window())
    return list_reply(call, page, EvidenceOut)


async def list_attestation_evidence(call: Call, attestation_id: UUID, query: ListQuery) -> Reply[list[EvidenceOut]]:
    """List the evidence of an attestation, oldest first."""
    return list_reply(call, await _of_attestation(call, query, attestation_id), EvidenceOut)


async def list_trail_attestation_evidence(
    call: Call, trail_id: UUID, attestation_id: UUID, query: ListQuery
) -> Reply[list[EvidenceOut]]:
    """List the evidence of an attestation of a trail, oldest first."""
    return list_reply(call, await _of_attestation(call, query, attestation_id, trail_id), EvidenceOut)


async def _of_attestation(
    call: Call, query: ListQuery, attestation_id: UUID, trail_id: UUID | None = None
) -> Page[Evidence]:
    async with call.read() as reader:
        target = await queries.find_target(reader, call.tenant, attestation_id, trail_id)
        return await queries.list_attestation_evidence(reader, call.tenant, target, query.window())


async def download_evidence(call: Call, sha256: str) -> web.StreamResponse:
    """Download evidence by its SHA-256.

    The file name is that of the oldest file with this content. The content is hashed while it is sent; altered content
    is never delivered completely. For evidence stored elsewhere, the response is its description in JSON with
    `externalUrl`, never a redirect. Every download is audited.
    """
    async with call.read() as reader:
        evidence = await queries.find_by_digest(reader, call.tenant, normalise_digest(sha256))
    if evidence.external_url is not None:
        text = EvidenceOut.of(evidence, call).model_dump_json(by_alias=True)
        return web.Response(text=text, content_type="application/json")

    async def given(part: str | None) -> None:
        async with call.transaction() as tx:
            await note_access(tx, call.tenant, evidence, call.actor, part=part)

    download = Download(evidence.digest, evidence.size, evidence.name, evidence.media_type)
    return await send(call.request, call.services.blobs.of(call.caller.org_id), download, given)


async def verify_evidence(call: Call, evidence_id: UUID) -> EvidenceVerificationOut:
    """Hash a stored evidence file again and compare.

    The whole content is read. Evidence stored elsewhere cannot be verified.
    """
    async with call.read() as reader:
        evidence = await queries.get_evidence(reader, call.tenant, evidence_id)
    kept = evidence.external_url is None
    found = await call.services.blobs.of(call.caller.org_id).measure(evidence.digest) if kept else None
    result = EvidenceVerificationOut.compared(evidence, found, call.services.clock.now())
    if kept and not result.verified:
        log.error("evidence.tampered", digest=evidence.digest, reason=result.message)
    return result
