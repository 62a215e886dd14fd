"""Reading security scans."""

from collections.abc import Collection, Mapping
from uuid import UUID

from domain.gates.evaluation import ScanFinding
from domain.gates.opa import ScanCounts
from domain.gates.security_scans import ScanType, SecurityScan
from domain.tenant import Tenant
from storage.database import Reader
from storage.facts.queries.scoping import limits_on_trail
from storage.facts.queries.trails import get_trail
from storage.paging import Listing, Page, Window
from storage.rows import columns, from_row


def _scan_type(stored: str | None) -> ScanType | None:
    return ScanType(stored) if stored else None


security_scan = from_row(SecurityScan, scan_type=_scan_type)
"""Makes a scan of a row."""

SCANS = Listing(
    "security scan",
    columns(SecurityScan, prefix="s."),
    "security_scans s",
    security_scan,
    alias="s.",
    limits=limits_on_trail("s", flow_id=True),
)
"""Reads scans."""


async def get_scan(reader: Reader, tenant: Tenant, scan_id: UUID) -> SecurityScan:
    """Return one scan. Raises NotFound, also for another organisation's."""
    return await SCANS.get(reader, tenant, scan_id)


async def list_scans(
    reader: Reader, tenant: Tenant, window: Window, *, flow_id: UUID | None = None, failed: bool = False
) -> Page[SecurityScan]:
    """List the scans of a flow or of all; with `failed` only those that did not pass."""
    filters = {"s.flow_id = {}": flow_id, "NOT s.passed": failed or None}
    return await SCANS.page(reader, tenant, window, filters=filters)


async def list_trail_scans(reader: Reader, tenant: Tenant, trail_id: UUID, window: Window) -> Page[SecurityScan]:
    """List the scans of a trail, oldest first. Raises NotFound for the trail."""
    await get_trail(reader, tenant, trail_id)
    return await SCANS.page(reader, tenant.unscoped, window, within={"s.trail_id = {}": trail_id})


_BREACHED = """
SELECT s.attestation_id, s.tool, array_append(s.breach_details, s.reason) AS details
FROM security_scans s WHERE s.org_id = $1 AND s.attestation_id = ANY($2::uuid[]) AND NOT s.passed
"""


async def breached_scans(
    reader: Reader, tenant: Tenant, attestation_ids: Collection[UUID]
) -> Mapping[UUID, ScanFinding]:
    """Return the scan behind each of these attestations that is of a scan which did not pass."""
    rows = await reader.rows(_BREACHED, tenant.org_id, list(attestation_ids)) if attestation_ids else []
    return {
        row["attestation_id"]: ScanFinding(row["tool"], tuple(text for text in row["details"] if text)) for row in rows
    }


_BEHIND = """
SELECT tool, critical, high, medium, low FROM security_scans WHERE org_id = $1 AND attestation_id = ANY($2::uuid[])
"""


async def scans_behind(reader: Reader, tenant: Tenant, attestation_ids: Collection[UUID]) -> list[ScanCounts]:
    """Return what those of the attestations found that are of security scans."""
    rows = await reader.rows(_BEHIND, tenant.org_id, list(attestation_ids)) if attestation_ids else []
    return [ScanCounts(**row) for row in rows]
