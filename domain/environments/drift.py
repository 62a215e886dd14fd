"""Drift: what runs although the baseline does not have it, and what the baseline has and does not run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.audit.events import AuditName
from domain.environments.artifacts import Difference, Instances, Running, diff
from domain.environments.environments import DriftStatus
from domain.moments import later_than


@dataclass(frozen=True, slots=True)
class Allowed:
    """A difference that an entry of the allow-list permits."""

    difference: Difference
    entry_id: UUID


@dataclass(frozen=True, slots=True)
class Drift:
    """The difference between a baseline and what runs, without and with what the allow-list permits."""

    added: Sequence[Difference] = ()
    removed: Sequence[Difference] = ()
    updated: Sequence[Difference] = ()
    allowed: Sequence[Allowed] = ()

    @property
    def status(self) -> DriftStatus:
        """What is allowed is no drift."""
        return DriftStatus.DRIFTED if self.added or self.removed or self.updated else DriftStatus.IN_SYNC

    @property
    def parts(self) -> dict[str, Sequence[Difference]]:
        """The differences that are drift, by their names."""
        return {"added": self.added, "removed": self.removed, "updated": self.updated}

    @property
    def differences(self) -> int:
        """How many there are, those that are allowed included."""
        return len(self.allowed) + sum(map(len, self.parts.values()))

    def is_like(self, other: "Drift") -> bool:
        """Whether the same digests differ, and are allowed, under the same names, whatever their tags and counts."""
        return _outline(self) == _outline(other)

    def to_json(self) -> dict[str, Any]:
        """Return the stored form."""
        return {
            **{name: [one.to_json() for one in part] for name, part in self.parts.items()},
            "allowed": [[*one.difference.to_json(), str(one.entry_id)] for one in self.allowed],
        }

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> "Drift":
        """Read the stored form."""
        parts = {
            name: tuple(Difference.of_json(one) for one in stored[name]) for name in ("added", "removed", "updated")
        }
        allowed = tuple(Allowed(Difference.of_json(one[:-1]), UUID(one[-1])) for one in stored["allowed"])
        return cls(**parts, allowed=allowed)


def _outline(drift: Drift) -> list[Any]:
    parts = drift.parts.values()
    differing = [[(one.name, _digest(one.before), _digest(one.after)) for one in part] for part in parts]
    return [differing, [(one.difference.newest[:2], one.entry_id) for one in drift.allowed]]


def _digest(artifact: Running | None) -> str | None:
    return artifact.digest if artifact else None


def find_drift(baseline: Instances, now: Instances, allowed: Mapping[Running, UUID]) -> Drift:
    """Compare what runs with the baseline; `allowed` has the entry of each artifact that the allow-list permits."""
    found = diff(baseline, now)
    permitted = [Allowed(one, allowed[one.newest]) for one in (*found.added, *found.updated) if one.newest in allowed]
    return Drift(
        added=[one for one in found.added if one.newest not in allowed],
        removed=found.removed,
        updated=[one for one in found.updated if one.newest not in allowed],
        allowed=permitted,
    )


@dataclass(frozen=True, slots=True)
class DriftReport:
    """A comparison that had another outcome than the one before.

    `n` is the number of the snapshot that was compared. `drifted_since` is when the drift began that this report shows
    or ends; None if there was none.
    """

    id: UUID
    org_id: UUID
    environment_id: UUID
    baseline_id: UUID
    n: int
    revision: int
    status: DriftStatus
    drift: Drift
    drifted_since: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is compared: the baseline and snapshot `n` of an environment. `last` is the newest report about it."""

    org_id: UUID
    environment_id: UUID
    baseline_id: UUID
    baseline_n: int
    n: int
    last: DriftReport | None

    @property
    def before(self) -> DriftStatus:
        """The status until now."""
        return self.last.status if self.last else DriftStatus.IN_SYNC


def next_report(comparison: Comparison, drift: Drift, report_id: UUID, now: datetime) -> DriftReport | None:
    """Return the report of an outcome, or None if the last one says the same of this baseline."""
    last = comparison.last
    of_baseline = last is not None and last.baseline_id == comparison.baseline_id
    if last and of_baseline and drift.is_like(last.drift):
        return None
    time = later_than(last.created_at if last else None, now)
    began = time if drift.status is DriftStatus.DRIFTED else None
    return DriftReport(
        id=report_id,
        org_id=comparison.org_id,
        environment_id=comparison.environment_id,
        baseline_id=comparison.baseline_id,
        n=comparison.n,
        revision=last.revision + 1 if last and of_baseline and last.n == comparison.n else 1,
        status=drift.status,
        drift=drift,
        drifted_since=last.drifted_since if last and last.status is DriftStatus.DRIFTED else began,
        created_at=time,
    )


def audit_name(before: DriftStatus, status: DriftStatus) -> AuditName:
    """Return the name of the event of a report."""
    return {
        (DriftStatus.IN_SYNC, DriftStatus.DRIFTED): AuditName.DRIFT_DETECTED,
        (DriftStatus.DRIFTED, DriftStatus.DRIFTED): AuditName.DRIFT_CHANGED,
        (DriftStatus.DRIFTED, DriftStatus.IN_SYNC): AuditName.DRIFT_RESOLVED,
        (DriftStatus.IN_SYNC, DriftStatus.IN_SYNC): AuditName.DRIFT_CHECKED,
    }[before, status]
