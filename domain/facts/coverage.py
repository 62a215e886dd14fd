"""Test coverage reports."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

COVERAGE_TYPE = "test-coverage"
"""The type of the attestation that records a coverage report."""
COVERAGE = "coverage"
"""The key of the metrics in that attestation's payload."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a tool measured, in percent of lines and branches, and the required minimum, if any."""

    tool: str
    line: float | None = None
    branch: float | None = None
    minimum: float | None = None
    report_file_name: str | None = None
    details: str | None = None

    @property
    def passed(self) -> bool:
        """True without a minimum. With one, at least one metric must be given, and every given metric must reach it."""
        if self.minimum is None:
            return True
        metrics = [metric for metric in (self.line, self.branch) if metric is not None]
        return bool(metrics) and all(metric >= self.minimum for metric in metrics)

    @property
    def summary(self) -> str:
        """One line of text for the attestation's details."""
        parts = {"line": self.line, "branch": self.branch, "minimum": self.minimum}
        metrics = [f"{name} {value:.6g} %" for name, value in parts.items() if value is not None]
        measured = ", ".join(metrics) or "no metrics"
        return f"{self.tool}: {measured}: {'passed' if self.passed else 'failed'}"

    def to_payload(self) -> dict[str, Any]:
        """Make the payload of the attestation."""
        return {COVERAGE: asdict(self)}

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> "Coverage":
        """Read a payload that `to_payload` made."""
        return cls(**payload[COVERAGE])
