"""Request and response models of baselines and drift."""

from typing import Self
from uuid import UUID

from api.environments.schemas.snapshots import DifferenceOut
from api.http.calls import Call
from api.http.texts import Long, Short
from api.http.wire import Instant, WireIn, WireModel, shows
from domain.environments.baselines import NewBaseline
from domain.environments.drift import DriftReport
from domain.environments.environments import DriftPolicy, DriftStatus
from storage.environments.queries.drift import ListedReport


class BaselineIn(WireIn):
    """A snapshot to approve as what should run; without `snapshotId` the latest one.

    `approvedBy` is returned as claimed; the audit event names the authenticated caller.
    """

    model_config = {"json_schema_extra": {"examples": [{"approvedBy": "release-manager", "description": "1.4"}]}}

    snapshot_id: UUID | None = None
    approved_by: Short | None = None
    description: Long | None = None

    def to_command(self, environment_id: UUID) -> NewBaseline:
        """Return the input of the command."""
        return NewBaseline(environment_id, self.snapshot_id, self.approved_by, self.description)


class BaselineOut(WireModel):
    """A baseline. `snapshotId` is null if it was made before the first snapshot; nothing is compared with it then."""

    id: UUID
    environment_id: UUID
    snapshot_id: UUID | None
    snapshot_index: int | None = shows("n")
    approved_by: str = shows("approver")
    approved_at: Instant = shows("created_at")
    description: str | None
    is_active: bool
    replaced_at: Instant | None = shows("archived_at")


class AllowedOut(DifferenceOut):
    """A difference that an entry of the allow-list permits."""

    allowlist_entry_id: UUID


class DriftReportOut(WireModel):
    """A comparison of a snapshot with the baseline. `generatedAt` is the time of the comparison.

    `driftedSince` is when the drift began that the report shows or, with the status IN_SYNC, ended; null if there was
    none. What the allow-list permits is no drift.
    """

    id: UUID
    environment_id: UUID
    baseline_id: UUID
    snapshot_id: UUID
    snapshot_index: int
    generated_at: Instant
    status: DriftStatus
    has_drift: bool
    drifted_since: Instant | None
    added: list[DifferenceOut]
    removed: list[DifferenceOut]
    updated: list[DifferenceOut]
    allowlisted: list[AllowedOut]

    @classmethod
    def of(cls, listed: ListedReport, _call: Call) -> Self:
        """Return the report with what differs."""
        return cls.showing(listed.report, snapshot_id=listed.snapshot_id, snapshot_index=listed.report.n)

    @classmethod
    def showing(cls, report: DriftReport, **further: object) -> Self:
        """Return the report with what differs, and with further fields."""
        return cls.filled(
            report,
            generated_at=report.created_at,
            has_drift=report.status is DriftStatus.DRIFTED,
            allowlisted=[
                AllowedOut(**DifferenceOut.of(one.difference).model_dump(), allowlist_entry_id=one.entry_id)
                for one in report.drift.allowed
            ],
            **{name: [DifferenceOut.of(one) for one in found] for name, found in report.drift.parts.items()},
            **further,
        )


class DriftOut(DriftReportOut):
    """The drift of an environment from its active baseline now.

    `snapshotId` and `snapshotIndex` are those of the latest snapshot, whose outcome is that of the comparison at
    `generatedAt`. `driftPolicy` says what drift does.
    """

    drift_policy: DriftPolicy
