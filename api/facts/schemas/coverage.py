"""Request and response models of test coverage."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import Field

from api.http.calls import Call
from api.http.texts import Name, Short, Text
from api.http.wire import Instant, WireIn, WireModel
from domain.audit.events import Actor
from domain.facts.attestations import Attestation, NewAttestation, Origin, ResultStatus
from domain.facts.coverage import COVERAGE_TYPE, Coverage

Percent = Annotated[float, Field(strict=True, ge=0, le=100, allow_inf_nan=False)]
"""A percentage from 0 to 100."""


class CoverageIn(WireIn):
    """The measurements of a coverage tool, in percent. Every given metric must reach `minCoverage`, if it is given."""

    model_config = {
        "json_schema_extra": {
            "examples": [{"tool": "jacoco", "lineCoverage": 85.2, "branchCoverage": 81, "minCoverage": 80}]
        }
    }

    tool: Name
    line_coverage: Percent | None = None
    branch_coverage: Percent | None = None
    min_coverage: Percent | None = None
    report_file_name: Short | None = None
    details: Text | None = None

    def to_command(self, trail_id: UUID, actor: Actor) -> NewAttestation:
        """Return the report as an attestation."""
        coverage = Coverage(
            tool=self.tool,
            line=self.line_coverage,
            branch=self.branch_coverage,
            minimum=self.min_coverage,
            report_file_name=self.report_file_name,
            details=self.details,
        )
        return NewAttestation(
            trail_id=trail_id,
            type=COVERAGE_TYPE,
            status=ResultStatus.of(passed=coverage.passed),
            actor=actor,
            origin=Origin.API,
            details=coverage.summary,
            payload=coverage.to_payload(),
        )


class CoverageOut(WireModel):
    """A coverage report. `id` is the id of its attestation; `reportFileHash` is the hash of its last uploaded file."""

    id: UUID
    trail_id: UUID
    tool: str
    line_coverage: float | None
    branch_coverage: float | None
    min_coverage: float | None
    passed: bool
    report_file_name: str | None
    report_file_hash: str | None
    details: str | None
    created_at: Instant

    @classmethod
    def of(cls, attestation: Attestation, _call: Call) -> Self:
        """Return the report of an attestation of type `test-coverage`."""
        coverage = Coverage.from_payload(attestation.payload or {})
        file = attestation.evidence
        return cls.filled(
            attestation,
            tool=coverage.tool,
            line_coverage=coverage.line,
            branch_coverage=coverage.branch,
            min_coverage=coverage.minimum,
            passed=attestation.status == ResultStatus.PASSED,
            report_file_name=coverage.report_file_name or (file.name if file else None),
            report_file_hash=file.digest.removeprefix("sha256:") if file else None,
            details=coverage.details,
        )
