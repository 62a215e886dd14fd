"""Handlers of security scans."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from aiohttp import web
from pydantic_core import to_json

from api.gates.schemas.security_scans import (
    SecurityScanForm,
    SecurityScanIn,
    SecurityScanOut,
    SecurityScansQuery,
    SecurityScanSummaryOut,
    SecurityScanSummaryQuery,
    report_of,
)
from api.http.calls import Call, Reply, Upload
from api.http.dry_runs import Created, DryRun, created
from api.http.evidence_parsing import PARSERS
from api.http.organisation import check_org_slug
from api.http.paging import ListQuery, list_reply
from api.http.transport.uploads import UNNAMED, known_media_type, staged
from domain.errors import Forbidden, Invalid
from domain.facts.attestations import Attestation
from domain.facts.evidence import NewEvidence
from domain.gates.security_scans import NewScan, attestations_of, judge
from domain.identity.permissions import Permission
from storage.blobs.store import Rehearsal
from storage.database import Transaction
from storage.facts.commands.attestations import record_attestations
from storage.facts.commands.evidence import attach_file
from storage.facts.queries.trails import get_trail
from storage.gates.commands.security_scans import record_scan
from storage.gates.queries import security_scans as queries
from storage.gates.queries.scan_summaries import summarise_scans
from storage.gates.queries.security_thresholds import find_thresholds

_SCAN: web.RequestKey[NewScan] = web.RequestKey("security_scan", NewScan)
"""The scan of the request, with what its report says."""


async def read_report(
    call: Call,
    *,
    trail_id: UUID,
    body: SecurityScanIn | None = None,
    form: SecurityScanForm | None = None,
    **_: Any,
) -> None:
    """Check a scan and read its report before any transaction begins: parsing may take half a minute."""
    if form is None and body is None:
        raise Invalid("Send the scan as JSON, or a multipart form with its report in the part `file`.")
    scan = form.to_scan() if form else body
    assert scan is not None  # noqa: S101 - either form or body is given
    check_org_slug(call, scan.org_slug)
    async with call.read() as reader:
        await get_trail(reader, call.tenant, trail_id)
    async with _report_file(call, body, form) as file:
        report = found = None
        if file is not None:
            if not call.caller.may(Permission.EVIDENCE_WRITE):
                raise Forbidden(f"A scan with its report needs the permission {Permission.EVIDENCE_WRITE.value} too")
            parsed = await call.request.app[PARSERS].parse_scan_report(call.caller.org_id, file)
            report, found = report_of(parsed, file, "file" if form else "report")
    call.request[_SCAN] = scan.to_command(trail_id, report, found)


@asynccontextmanager
async def _report_file(
    call: Call, body: SecurityScanIn | None, form: SecurityScanForm | None
) -> AsyncIterator[Upload | None]:
    """Yield the report as a file: of a form it is one, out of a body it is made one."""
    if form is not None or body is None or body.report is None:
        yield form.file if form else None
        return
    content = to_json(body.report)
    async with staged(call.request, call.caller.org_id, content, "report.json", "application/json") as file:
        yield file


async def record_security_scan(
    call: Call,
    trail_id: UUID,
    *,
    body: SecurityScanIn | None = None,
    form: SecurityScanForm | None = None,
    dry_run: DryRun = False,
) -> Created[SecurityScanOut]:
    """Record a security scan on a trail.

    The scan fails if it found more than the thresholds of the flow allow, or any critical vulnerability if the flow has
    none. It is recorded as an attestation of the type `attestationType` under the name `attestationName` (by default
    SECURITY_SCAN, under the name of the tool), and as another one whose type is the tool: either satisfies a
    requirement of its type. The next scan of the same kind, tool and target takes its place.

    Send the scan as JSON, with the scanner's `report` in it if you like, or a multipart form with the report in the
    part `file` and the scan as JSON in the part `scan`, or its fields as parts. The report is kept as evidence of the
    attestation.
    """
    new = call.request[_SCAN]
    async with _report_file(call, body, form) as file, call.transaction(dry_run=dry_run) as tx:
        trail = await get_trail(tx, call.tenant, trail_id)
        judgement = judge(new, await find_thresholds(tx, call.tenant, trail.flow_id))
        attestation, *_ = await record_attestations(tx, call.tenant, attestations_of(new, judgement, call.actor))
        if file is not None:
            await _keep(call, tx, attestation, file, dry_run=dry_run)
        scan = await record_scan(
            tx,
            call.tenant,
            new,
            judgement,
            flow_id=trail.flow_id,
            attestation_id=attestation.id,
            actor=call.actor,
        )
    return created(SecurityScanOut.of(scan, call), dry_run=dry_run)


async def _keep(call: Call, tx: Transaction, attestation: Attestation, file: Upload, *, dry_run: bool) -> None:
    """Keep the report as evidence of the scan's attestation."""
    new = NewEvidence(
        trail_id=attestation.trail_id,
        attestation_id=attestation.id,
        digest=f"sha256:{file.sha256}",
        name=file.file_name or UNNAMED,
        size=file.size,
        media_type=known_media_type(file.content_type),
        actor=call.actor,
    )
    blobs = Rehearsal() if dry_run else call.services.blobs.of(call.caller.org_id)
    most = call.services.settings.evidence_max_files
    await attach_file(tx, call.tenant, new, file.path, blobs, most=most)


async def list_security_scans(call: Call, query: SecurityScansQuery) -> Reply[list[SecurityScanOut]]:
    """List security scans, newest first."""
    async with call.read() as reader:
        page = await queries.list_scans(reader, call.tenant, query.window(descending=True), **query.to_filters())
    return list_reply(call, page, SecurityScanOut)


async def list_trail_security_scans(call: Call, trail_id: UUID, query: ListQuery) -> Reply[list[SecurityScanOut]]:
    """List the security scans of a trail, oldest first."""
    async with call.read() as reader:
        page = await queries.list_trail_scans(reader, call.tenant, trail_id, query.window())
    return list_reply(call, page, SecurityScanOut)


async def get_security_scan(call: Call, security_scan_id: UUID) -> SecurityScanOut:
    """Get a security scan."""
    async with call.read() as reader:
        scan = await queries.get_scan(reader, call.tenant, security_scan_id)
    return SecurityScanOut.of(scan, call)


async def summarise_security_scans(call: Call, query: SecurityScanSummaryQuery) -> SecurityScanSummaryOut:
    """Add up the findings of security scans.

    All scans are added up, or those of a flow, of a trail, of a tool or of a time. Repeated scans of one target count
    each time.
    """
    check_org_slug(call, query.org_slug)
    async with call.read() as reader:
        summary = await summarise_scans(reader, call.tenant, **query.to_filters())
    return SecurityScanSummaryOut.of(summary, call)
