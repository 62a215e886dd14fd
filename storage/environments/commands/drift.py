"""Comparing what runs with the baselines, and recording every outcome that is another one than before."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from domain.audit.events import Actor, Event
from domain.environments.allow_list import AllowListEntry, NewUse
from domain.environments.artifacts import Instances, Running
from domain.environments.drift import Comparison, Drift, DriftReport, audit_name, find_drift, next_report
from domain.environments.environments import DriftPolicy, DriftStatus
from domain.environments.records import DRIFT
from domain.errors import NotFound
from domain.notifications.triggers import Notice, drift_detected, drift_resolved
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.batches import Batch, BatchInsert, Rows
from storage.database import Row, Transaction
from storage.environments.commands.allow_list_uses import record_uses
from storage.environments.holding import hold_environment
from storage.environments.queries.allow_list import allowed_artifacts
from storage.environments.queries.drift import last_report, report_of
from storage.environments.queries.snapshots import MAX_ON_LOOP, instances_of
from storage.environments.tables import drift_reports, environments
from storage.notifications.commands.notices import raise_notices
from storage.rows import columns, to_row
from storage.threads import in_thread_if

Permitted = Mapping[Running, AllowListEntry]
"""Artifacts that an allow-list permits, each with the entry that does."""

_COMPARED = f"""
SELECT b.environment_id AS place, b.id AS active_id, b.n AS baseline_n, {columns(DriftReport, prefix="last.")}
FROM unnest($2::uuid[]) AS wanted(id)
JOIN baselines b ON b.environment_id = wanted.id AND b.archived_at IS NULL AND b.n IS NOT NULL
LEFT JOIN LATERAL (
  SELECT * FROM drift_reports d
  WHERE d.org_id = $1 AND d.environment_id = wanted.id ORDER BY d.created_at DESC, d.id DESC LIMIT 1
) last ON true
"""
_RECORD = Batch(BatchInsert(drift_reports, tuple(one.name for one in drift_reports.columns)))
_STATES = Rows.of(environments, "id", "drift_status", "drifted_since", "recheck_at")
_SHOW = f"""
UPDATE environments e
SET drift_status = s.drift_status, drifted_since = s.drifted_since, recheck_at = s.recheck_at
FROM {_STATES.source("s", 1)} WHERE e.id = s.id
"""


async def check_environment(tx: Transaction, tenant: Tenant, environment_id: UUID, actor: Actor) -> DriftReport:
    """Compare what runs in one environment with its baseline and return the newest report.

    Raises NotFound for the environment, its baseline, and a snapshot of either.
    """
    held = await hold_environment(tx, tenant, environment_id)
    await check_drift(tx, tenant, [held], actor)
    report = await last_report(tx, tenant, environment_id)
    if report is None:
        raise NotFound(f"Nothing was reported to run in the environment {environment_id} yet.")
    return report


async def check_drift(tx: Transaction, tenant: Tenant, held: Sequence[Row], actor: Actor) -> None:
    """Compare what runs in these environments, which are locked, with their baselines.

    An outcome that differs from the last one is a new report with its audit event. Drift that begins or ends is told to
    people, unless the environment's policy is to ignore it. Takes the same number of statements for any number of
    environments; those without a baseline or a snapshot are left out.
    """
    comparisons = await _comparisons(tx, tenant, {one["id"]: one["last_n"] for one in held if one["last_n"]})
    places = [(one.environment_id, n) for one in comparisons for n in (one.baseline_n, one.n)]
    found = await instances_of(tx, tenant, places)
    allowed = await _allowed(tx, tenant, comparisons, found)
    drifts = await _compared(found, [allowed[one.environment_id] for one in comparisons])
    made = [
        (one, report)
        for one, drift in zip(comparisons, drifts, strict=True)
        if (report := next_report(one, drift, tx.new_id(), tx.now))
    ]
    if made:
        rows = [_row(report) for _, report in made]
        await _RECORD.write(tx, {}, rows)
        await append(tx, tenant, [_event(*one, row, actor) for one, row in zip(made, rows, strict=True)])
        await record_uses(tx, tenant, [use for _, report in made for use in _uses(report)], actor)
    reports = {one.environment_id: one.last for one in comparisons} | {one.environment_id: new for one, new in made}
    states = [_state(one["id"], reports.get(one["id"]), allowed.get(one["id"], {})) for one in held]
    await tx.execute(_SHOW, *_STATES.arrays(states))
    by_id = {one["id"]: one for one in held}
    notices = [notice for one, report in made for notice in _notices(by_id[one.environment_id], one, report)]
    await raise_notices(tx, tenant, notices)


async def tell_drift(tx: Transaction, tenant: Tenant, environment: Row) -> None:
    """Tell people that an environment, which is locked, has drifted, if it has."""
    if environment["drift_status"] == DriftStatus.DRIFTED:
        report = await last_report(tx, tenant, environment["id"])
        await raise_notices(tx, tenant, [_detected(environment, report)] if report else [])


async def _comparisons(tx: Transaction, tenant: Tenant, numbers: Mapping[UUID, int]) -> list[Comparison]:
    rows = await tx.rows(_COMPARED, tenant.org_id, list(numbers))
    return [
        Comparison(
            org_id=tenant.org_id,
            environment_id=row["place"],
            baseline_id=row["active_id"],
            baseline_n=row["baseline_n"],
            n=numbers[row["place"]],
            last=report_of(row) if row["id"] else None,
        )
        for row in rows
    ]


async def _allowed(
    tx: Transaction, tenant: Tenant, comparisons: Sequence[Comparison], found: Sequence[Instances]
) -> Mapping[UUID, Permitted]:
    """Return what the allow-list of each environment permits of what runs and the baseline does not have."""
    pairs = zip(comparisons, found[::2], found[1::2], strict=True)
    new = {one.environment_id: now.keys() - baseline.keys() for one, baseline, now in pairs}
    return await allowed_artifacts(tx, tenant, new, tx.now)


async def _compared(found: Sequence[Instances], allowed: Sequence[Permitted]) -> list[Drift]:
    """Compare each two moments of `found`, in a thread if there is much to compare."""

    def compare() -> list[Drift]:
        pairs = zip(found[::2], found[1::2], allowed, strict=True)
        return [
            find_drift(baseline, now, {one: entry.id for one, entry in permitted.items()})
            for baseline, now, permitted in pairs
        ]

    return await in_thread_if(sum(map(len, found)) > MAX_ON_LOOP, compare)


def _row(report: DriftReport) -> dict[str, Any]:
    return {
        **to_row(report),
        "status": report.status.value,
        "differences": report.drift.differences,
        "drift": report.drift.to_json(),
    }


def _uses(report: DriftReport) -> list[NewUse]:
    return [NewUse(report.environment_id, one.entry_id, *one.difference.newest[:2]) for one in report.drift.allowed]


def _state(environment_id: UUID, report: DriftReport | None, permitted: Permitted) -> dict[str, Any]:
    """Return what the environment shows of its newest report; without a comparison, that there is none.

    It is compared again when the first entry expires that lets something through.
    """
    drifted = report is not None and report.status is DriftStatus.DRIFTED
    return {
        "id": environment_id,
        "drift_status": report.status.value if report else None,
        "drifted_since": report.drifted_since if report and drifted else None,
        "recheck_at": min((one.expires_at for one in permitted.values() if one.expires_at), default=None),
    }


def _event(comparison: Comparison, report: DriftReport, row: Row, actor: Actor) -> Event:
    payload = {
        "environmentId": str(report.environment_id),
        "baselineId": str(report.baseline_id),
        "snapshotIndex": report.n,
        "status": report.status.value,
        **{name: len(found) for name, found in report.drift.parts.items()},
        "allowlisted": len(report.drift.allowed),
        "driftedSince": report.drifted_since.isoformat() if report.drifted_since else None,
    }
    name = audit_name(comparison.before, report.status)
    return Event(name, actor, DRIFT, row, payload, environment_id=report.environment_id)


def _notices(environment: Row, comparison: Comparison, report: DriftReport) -> list[Notice]:
    """Return what people are told: that drift began, or that it ended."""
    if environment["drift_policy"] == DriftPolicy.IGNORE or comparison.before is report.status:
        return []
    if report.status is DriftStatus.DRIFTED:
        return [_detected(environment, report)]
    since = report.drifted_since or report.created_at
    return [drift_resolved(report.environment_id, environment["name"], since, report.created_at)]


def _detected(environment: Row, report: DriftReport) -> Notice:
    differing = sorted({one.name for found in report.drift.parts.values() for one in found})
    blocks = environment["drift_policy"] == DriftPolicy.BLOCK
    return drift_detected(report.environment_id, environment["name"], differing, blocks=blocks)
