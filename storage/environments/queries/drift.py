"""Reading drift reports."""

from dataclasses import dataclass
from uuid import UUID

from domain.environments.drift import Drift, DriftReport
from domain.environments.environments import DriftStatus
from domain.errors import NotFound
from domain.tenant import Tenant
from storage.database import Reader
from storage.environments.queries.baselines import active_baseline
from storage.environments.queries.environments import get_environment
from storage.paging import Listing, Page, Window, capped_count, fetch_fitting
from storage.rows import columns, from_row

REPORT_COLUMNS = columns(DriftReport)
report_of = from_row(DriftReport, status=DriftStatus, drift=Drift.of_json)


@dataclass(frozen=True, slots=True)
class ListedReport:
    """A drift report with the snapshot that was compared."""

    report: DriftReport
    snapshot_id: UUID


_REPORTS = Listing(
    "drift report",
    f"{columns(DriftReport, prefix='d.')}, s.id AS snapshot_id",
    "drift_reports d JOIN snapshots s ON s.environment_id = d.environment_id AND s.n = d.n",
    lambda row: ListedReport(report_of(row), row["snapshot_id"]),
    alias="d.",
)
_LAST = f"""
SELECT {REPORT_COLUMNS} FROM drift_reports
WHERE org_id = $1 AND environment_id = $2 ORDER BY created_at DESC, id DESC LIMIT 1
"""


MAX_LISTED = 20_000
"""Differences in the reports of one page."""


async def list_drift_reports(
    reader: Reader, tenant: Tenant, window: Window, *, environment_id: UUID, whole: bool
) -> Page[ListedReport]:
    """List the drift reports of an environment, as many as MAX_LISTED allows.

    Raises NotFound for the environment, and Invalid if the window has to be `whole` and is too large.
    """
    await get_environment(reader, tenant, environment_id)
    where = _REPORTS.of(tenant.unscoped).and_("d.environment_id = {}", environment_id)
    items, following = await fetch_fitting(
        reader, _REPORTS, where, window, weight="d.differences", most=MAX_LISTED, whole=whole
    )
    number, capped = await capped_count(reader, "drift_reports d", where)
    return Page(items, number, window, following, capped)


async def last_report(reader: Reader, tenant: Tenant, environment_id: UUID) -> DriftReport | None:
    """Return what is known of the drift from the active baseline; None if nothing was compared with it yet.

    The environment is known to be there. Raises NotFound for its baseline, and the snapshot of the baseline.
    """
    baseline = await active_baseline(reader, environment_id)
    if baseline.n is None:
        raise NotFound(
            f"The baseline {baseline.id} has no snapshot, as it was made before the first one; approve another one."
        )
    row = await reader.row(_LAST, tenant.org_id, environment_id)
    return report_of(row) if row and row["baseline_id"] == baseline.id else None
