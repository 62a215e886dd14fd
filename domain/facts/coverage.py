"""Test coverage, and whether it suffices (facts.md 20.1)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

COVERAGE_TYPE = "test-coverage"
"""The type of the attestation that a report of coverage is."""
COVERAGE = "coverage"
"""Under which the metrics stand in that attestation's payload."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a tool measured, in percent of lines and branches, and the minimum that was asked for."""

    tool: str
    line: float | None = None
    branch: float | None = None
    minimum: float | None = None
    report_file_name: str | None = None
    details: str | None = None

    @property
    def passed(self) -> bool:
        """Without a minimum always; with one every metric given must reach it, and one must be given."""
        if self.minimum is None:
            return True
        metrics = [metric for metric in (self.line, self.branch) if metric is not None]
        return bool(metrics) and all(metric >= self.minimum for metric in metrics)

    @property
    def summary(self) -> str:
        """In words, as the attestation's details show it."""
        parts = {"line": self.line, "branch": self.branch, "minimum": self.minimum}
        told = [f"{name} {value:.6g} %" for name, value in parts.items() if value is not None]
        measured = ", ".join(told) or "no metrics"
        return f"{self.tool}: {measured}: {'passed' if self.passed else 'failed'}"

    def to_payload(self) -> dict[str, Any]:
        """As the attestation keeps it."""
        return {COVERAGE: asdict(self)}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> "Coverage":
        """What `to_payload` wrote."""
        return cls(**payload[COVERAGE])
