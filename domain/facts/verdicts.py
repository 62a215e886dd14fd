"""A verdict as it is kept: the answer, what it was found from, and enough to find it again.

Inputs name what was looked at: the flow version, the trail, the artifact report, and every latest result by attestation
and number. All of that is immutable, so the same evaluator must come to the same answer years later.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from domain.canonical import normalise
from domain.facts.assertions import Assessment
from domain.facts.evaluation import Candidate, LatestResult


class VerdictKind(StrEnum):
    """Who asked, and how."""

    ASSERT = "assert"


class Basis(StrEnum):
    """Where the requirements came from."""

    TRAIL_TEMPLATE = "trail template"
    FLOW_TEMPLATE = "flow template"
    FLOW_TYPES = "flow types"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A stored verdict."""

    id: UUID
    org_id: UUID
    kind: str
    flow_id: UUID | None
    trail_id: UUID | None
    environment_id: UUID | None
    digest: str
    outcome: str
    inputs: dict[str, Any]
    result: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AssertionInputs:
    """What an assertion was decided from. Without a candidate no trail of the flow knew the artifact."""

    flow_id: UUID
    flow_version: int
    digest: str
    basis: Basis
    trail_id: UUID | None = None
    report_id: UUID | None = None
    candidate: Candidate | None = None
    latest: Sequence[LatestResult] = ()

    def to_json(self) -> dict[str, Any]:
        """As it is stored and sealed."""
        return {
            "flowId": str(self.flow_id),
            "flowVersion": self.flow_version,
            "digest": self.digest,
            "basis": self.basis.value,
            "trailId": str(self.trail_id) if self.trail_id else None,
            "artifactId": str(self.report_id) if self.report_id else None,
            "artifactName": self.candidate.name if self.candidate else None,
            "results": [latest_result_to_json(newest) for newest in in_order(self.latest)],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], latest: Sequence[LatestResult]) -> Self:
        """What `to_json` wrote, with the latest results as they are read anew."""
        name, trail, report = stored["artifactName"], stored["trailId"], stored["artifactId"]
        return cls(
            flow_id=UUID(stored["flowId"]),
            flow_version=stored["flowVersion"],
            digest=stored["digest"],
            basis=Basis(stored["basis"]),
            trail_id=UUID(trail) if trail else None,
            report_id=UUID(report) if report else None,
            candidate=Candidate(name, stored["digest"]) if name is not None else None,
            latest=latest,
        )


def in_order(latest: Iterable[LatestResult]) -> list[LatestResult]:
    """Always the same order, whatever the database gave."""
    return sorted(latest, key=lambda newest: (newest.slot, newest.digest, newest.key))


def results_among(inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The latest results among stored inputs; verdicts of Trailgate 0.1 call them heads."""
    results: list[dict[str, Any]] = inputs["results"] if "results" in inputs else inputs["heads"]
    return results


def latest_result_to_json(newest: LatestResult) -> dict[str, Any]:
    """One latest result among the inputs of a verdict."""
    return {
        "attestationId": str(newest.attestation_id),
        "result": newest.result_n,
        "key": newest.key,
        "type": newest.type,
        "slot": newest.slot,
        "digest": newest.digest,
        "status": newest.status.value,
        "observedAt": normalise(newest.observed_at),
    }


def result_to_json(assessment: Assessment) -> dict[str, Any]:
    """The reasons of an assessment, as they are stored and sealed."""
    return {
        "missingTypes": list(assessment.missing_types),
        "failedTypes": list(assessment.failed_types),
        "missingNames": list(assessment.missing_names),
        "failedNames": list(assessment.failed_names),
        "required": sorted(str(one.newest.attestation_id) for one in assessment.considered if one.required),
        "details": assessment.details,
    }
