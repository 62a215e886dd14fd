"""Request and response models of bulk evidence, evidence summaries and evidence gaps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self, cast
from uuid import UUID

from pydantic import AfterValidator, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from api.facts.schemas.coverage import CoverageOut
from api.http.calls import Call
from api.http.paging import ListQuery
from api.http.problems import invalid_input
from api.http.texts import Flag, Name, Text
from api.http.wire import WireIn, WireModel, shows
from domain.audit.events import Actor
from domain.facts.attestations import TOKEN_NEEDED, Attestation, NewAttestation, Origin, ResultStatus, needs_token
from domain.facts.collection import Completeness
from domain.facts.trails import TrailStatus
from storage.facts.queries.collection import Gap, TrailEvidence

MAX_ITEMS = 500


def _claimable(evidence_type: str) -> str:
    if needs_token(evidence_type):
        raise ValueError(TOKEN_NEEDED)
    return evidence_type


class CollectedIn(WireIn):
    """The result of one tool."""

    trail_id: UUID
    evidence_type: Annotated[Name, AfterValidator(_claimable)]
    tool: Name
    passed: Flag
    details: Text | None = None

    def to_command(self, actor: Actor) -> NewAttestation:
        """Return the input of the command, with the tool in the payload."""
        return NewAttestation(
            trail_id=self.trail_id,
            type=self.evidence_type,
            status=ResultStatus.of(passed=self.passed),
            actor=actor,
            origin=Origin.API,
            details=self.details,
            payload={"tool": self.tool},
        )


@dataclass(frozen=True, slots=True)
class Unread:
    """An invalid item, and the reason."""

    reason: str


def _alone(value: Any, validate: ValidatorFunctionWrapHandler) -> "CollectedIn | Unread":
    """Validate one item on its own, so that an invalid item does not fail the whole request."""
    try:
        return cast("CollectedIn", validate(value))
    except ValidationError as error:
        return Unread(invalid_input(error).message)


class CollectIn(WireIn):
    """Results of many tools for any trails. An invalid item is reported; the others are recorded."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "items": [
                        {
                            "trailId": "0190a8c0-0000-7000-8000-000000000002",
                            "evidenceType": "license-compliance",
                            "tool": "scancode",
                            "passed": True,
                        }
                    ]
                }
            ]
        }
    }

    items: Annotated[list[Annotated[CollectedIn, WrapValidator(_alone)]], Field(min_length=1, max_length=MAX_ITEMS)]

    @property
    def read(self) -> "list[CollectedIn | Unread]":
        """The valid and the invalid items, in the order of the request."""
        return cast("list[CollectedIn | Unread]", self.items)


class CollectedOut(WireModel):
    """The outcome of the item at `index` (from 0): an attestation, or an error."""

    index: int
    trail_id: UUID | None = None
    evidence_type: str | None = None
    attestation_id: UUID | None = None
    passed: bool | None = None
    error: str | None = None

    @classmethod
    def settled(cls, index: int, item: CollectedIn | Unread, attestation: Attestation | None) -> Self:
        """Return the outcome of an item. Without an attestation its trail does not exist, or the item is invalid."""
        if isinstance(item, Unread):
            return cls(index=index, error=item.reason)
        return cls(
            index=index,
            trail_id=item.trail_id,
            evidence_type=item.evidence_type,
            attestation_id=attestation.id if attestation else None,
            passed=item.passed,
            error=None if attestation else f"trailId: There is no trail {item.trail_id}.",
        )


class CollectionOut(WireModel):
    """The outcome of each item, in the order of the request."""

    results: list[CollectedOut]
    accepted: int
    failed: int

    @classmethod
    def counted(cls, results: list[CollectedOut]) -> Self:
        """Return the outcomes with their counts."""
        failed = sum(result.error is not None for result in results)
        return cls(results=results, accepted=len(results) - failed, failed=failed)


class EvidenceSummaryOut(WireModel):
    """The evidence of a trail. `isComplete` means that everything required is PASSED.

    `missingRequired…` lists requirements without a result or with a PENDING one, `failedRequired…` those with a FAILED
    one; requirements without a name are listed by type. `missingArtifacts` lists artifacts of the template that were
    not reported.
    """

    trail_id: UUID
    collected_types: list[str]
    coverage_reports: list[CoverageOut]
    total_attestations: int
    passed_attestations: int
    failed_attestations: int
    pending_attestations: int
    is_complete: bool
    missing_required_types: list[str]
    failed_required_types: list[str]
    missing_required_names: list[str]
    failed_required_names: list[str]
    missing_artifacts: list[str]
    details: str | None

    @classmethod
    def summed_up(cls, trail_id: UUID, evidence: TrailEvidence, coverage: list[CoverageOut]) -> Self:
        """Return the summary with the trail's coverage reports."""
        lacking = evidence.completeness
        return cls(
            trail_id=trail_id,
            collected_types=evidence.types,
            coverage_reports=coverage,
            total_attestations=evidence.total(*ResultStatus),
            passed_attestations=evidence.total(ResultStatus.PASSED),
            failed_attestations=evidence.total(ResultStatus.FAILED),
            pending_attestations=evidence.total(ResultStatus.PENDING),
            is_complete=lacking.complete,
            missing_required_types=list(lacking.missing_types),
            missing_required_names=list(lacking.missing_names),
            **_common(lacking),
        )


class GapOut(WireModel):
    """The evidence that a trail lacks."""

    trail_id: UUID
    git_commit_sha: str
    git_branch: str
    flow_id: UUID
    missing_types: list[str]
    failed_required_types: list[str]
    missing_names: list[str]
    failed_required_names: list[str]
    missing_artifacts: list[str]
    details: str | None
    trail_status: TrailStatus = shows("status")

    @classmethod
    def of(cls, gap: Gap, _call: Call) -> Self:
        """Return the gap of a trail."""
        lacking = gap.completeness
        return cls.filled(
            gap,
            missing_types=list(lacking.missing_types),
            missing_names=list(lacking.missing_names),
            **_common(lacking),
        )


def _common(lacking: Completeness) -> dict[str, Any]:
    """Return the fields that a summary and a gap have in common."""
    return {
        "failed_required_types": list(lacking.failed_types),
        "failed_required_names": list(lacking.failed_names),
        "missing_artifacts": list(lacking.absent_artifacts),
        "details": lacking.problem,
    }


class GapsQuery(ListQuery):
    """Filters of evidence gaps."""

    flow_id: UUID | None = None

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filters, as keyword arguments of the query."""
        return {"flow_id": self.flow_id}


class GapsOut(WireModel):
    """A page of gaps, and the total number of trails with gaps."""

    gaps: list[GapOut]
    total_trails_with_gaps: int
