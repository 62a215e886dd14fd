"""Reading drift reports."""

from dataclasses import dataclass
from uuid import UUID

from domain.environments.drift import Drift, DriftReport
from domain.environments.environments import DriftStatus
from domain.errors import Invalid, NotFound
from domain.tenant import Tenant
from storage.database import Reader
from storage.environments.queries.baselines import current_baseline
from storage.environments.queries.environments import get_environment
from storage.paging import Listing, Page, Window
from storage.rows import columns, from_row

REPORT_COLUMNS = columns(DriftReport)
report_of = from_row(DriftReport, status=DriftStatus, drift=Drift.of_json)

MAX_LISTED = 20_000
"""Differences in one answer that lists reports."""


@dataclass(frozen=True, slots=True)
class ListedReport:
    """A drift report with the snapshot that was compared."""

    report: DriftReport
    snapshot_id: UUID


@dataclass(frozen=True, slots=True)
class _Outline:
    """How much there is to read of a report."""

    id: UUID
    differences: int


_OUTLINES = Listing("drift report", f"{columns(_Outline)}, created_at", "drift_reports", from_row(_Outline))
_WHOLE = f"""
SELECT {columns(DriftReport, prefix="d.")}, s.id AS snapshot_id
FROM drift_reports d JOIN snapshots s ON s.environment_id = d.environment_id AND s.n = d.n
WHERE d.org_id = $1 AND d.id = ANY($2::uuid[])
"""
_LAST = f"""
SELECT {REPORT_COLUMNS} FROM drift_reports
WHERE org_id = $1 AND environment_id = $2 ORDER BY created_at DESC, id DESC LIMIT 1
"""


async def list_drift_reports(
    reader: Reader, tenant: Tenant, window: Window, *, environment_id: UUID
) -> Page[ListedReport]:
    """List the drift reports of an environment.

    Raises NotFound for the environment, Invalid if these reports have more than MAX_LISTED differences.
    """
    await get_environment(reader, tenant, environment_id)
    within = {"environment_id = {}": environment_id}
    page = await _OUTLINES.page(reader, tenant.unscoped, window, within=within)
    if sum(one.differences for one in page.items) > MAX_LISTED and len(page.items) > 1:
        raise Invalid.of("size", f"these reports have more than {MAX_LISTED} differences; ask for fewer at a time")
    rows = await reader.rows(_WHOLE, tenant.org_id, [one.id for one in page.items])
    reports = {row["id"]: ListedReport(report_of(row), row["snapshot_id"]) for row in rows}
    return page.with_items([reports[one.id] for one in page.items])


async def last_report(reader: Reader, tenant: Tenant, environment_id: UUID) -> DriftReport | None:
    """Return what is known of the drift from the active baseline; None if nothing was compared with it yet.

    Raises NotFound for the environment, its baseline, and the snapshot of the baseline.
    """
    baseline = await current_baseline(reader, tenant, environment_id)
    if baseline.n is None:
        raise NotFound(
            f"The baseline {baseline.id} has no snapshot, as it was made before the first one; approve another one."
        )
    row = await reader.row(_LAST, tenant.org_id, environment_id)
    return report_of(row) if row and row["baseline_id"] == baseline.id else None
