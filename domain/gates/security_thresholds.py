"""Thresholds of security scans: how many findings of each severity a scan of a flow may have."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

SEVERITIES = ("critical", "high", "medium", "low")
"""The severities that thresholds limit, the worst first."""
UNLIMITED = 2**31 - 1
"""The largest count: a maximum that none exceeds."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The most findings of each severity. The defaults are those of thresholds that people set."""

    max_critical: int = 0
    max_high: int = 0
    max_medium: int = 10
    max_low: int = UNLIMITED

    def breaches(self, counts: Mapping[str, int]) -> Iterator[str]:
        """Yield one text for each severity whose count, by its name, exceeds the maximum."""
        for severity in SEVERITIES:
            most = getattr(self, f"max_{severity}")
            if counts[severity] > most:
                yield f"{severity}: {counts[severity]} found, at most {most} allowed"


UNSET = Thresholds(max_critical=0, max_high=UNLIMITED, max_medium=UNLIMITED, max_low=UNLIMITED)
"""What holds for a flow without thresholds: no critical finding."""


@dataclass(frozen=True, slots=True)
class FlowThresholds:
    """The thresholds of a flow; `version` counts their changes."""

    id: UUID
    org_id: UUID
    flow_id: UUID
    version: int
    max_critical: int
    max_high: int
    max_medium: int
    max_low: int
    created_at: datetime
    updated_at: datetime

    @property
    def thresholds(self) -> Thresholds:
        """The maxima alone."""
        return Thresholds(self.max_critical, self.max_high, self.max_medium, self.max_low)
