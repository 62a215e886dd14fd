"""Stored verdicts: the outcome, its inputs, and enough to recompute it.

The inputs name what was evaluated: the flow version, the trail, the artifact report, and every latest result by
attestation id and result number. All of these are immutable, so the same evaluator finds the same outcome years later.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from domain.canonical import normalise
from domain.facts.approvals import ApprovalOutcome
from domain.facts.assertions import Assessment
from domain.facts.evaluation import Candidate, LatestResult


class VerdictKind(StrEnum):
    """The kind of request that a verdict answers."""

    ASSERT = "assert"
    GATE = "gate"


class Basis(StrEnum):
    """The source of the requirements."""

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
    """The inputs of an assertion. `candidate` is None if no trail of the flow had reported the artifact.

    `approvals` is the decided approval that counts, if one is required and was decided. `policies` is what the policies
    of the flow looked at, in its stored form.
    """

    flow_id: UUID
    flow_version: int
    digest: str
    basis: Basis
    trail_id: UUID | None = None
    report_id: UUID | None = None
    candidate: Candidate | None = None
    latest: Sequence[LatestResult] = ()
    approvals: Sequence[ApprovalOutcome] = ()
    policies: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the form that is stored and sealed."""
        return {
            **(self.policies or {}),
            "flowId": str(self.flow_id),
            "flowVersion": self.flow_version,
            "digest": self.digest,
            "basis": self.basis.value,
            "trailId": str(self.trail_id) if self.trail_id else None,
            "artifactId": str(self.report_id) if self.report_id else None,
            "artifactName": self.candidate.name if self.candidate else None,
            "results": [latest_result_to_json(newest) for newest in in_order(self.latest)],
            "approvals": [str(one.id) for one in self.approvals],
        }

    @classmethod
    def from_json(
        cls, stored: Mapping[str, Any], latest: Sequence[LatestResult], approvals: Sequence[ApprovalOutcome]
    ) -> Self:
        """Read what `to_json` returned, with latest results and approvals that the caller has read again."""
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
            approvals=approvals,
        )


def approvals_among(inputs: Mapping[str, Any]) -> list[UUID]:
    """Return the ids of the approvals in stored inputs. Verdicts from before there were approvals have none."""
    return [UUID(one) for one in inputs.get("approvals", ())]


def in_order(latest: Iterable[LatestResult]) -> list[LatestResult]:
    """Sort latest results, so that their order does not depend on the database."""
    return sorted(latest, key=lambda newest: (newest.slot, newest.digest, newest.identity))


def results_among(inputs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the latest results in stored inputs.

    Verdicts of Trailgate 0.1 use the key `heads`; where `key` stands for the identity, the identity was the name.
    """
    results: list[dict[str, Any]] = inputs["results"] if "results" in inputs else inputs["heads"]
    return [{"identity" if name == "key" else name: value for name, value in one.items()} for one in results]


def latest_result_to_json(newest: LatestResult) -> dict[str, Any]:
    """Return the form of one latest result in a verdict's inputs."""
    return {
        "attestationId": str(newest.attestation_id),
        "result": newest.result_n,
        "identity": newest.identity,
        "name": newest.name,
        "type": newest.type,
        "slot": newest.slot,
        "digest": newest.digest,
        "status": newest.status.value,
        "observedAt": normalise(newest.observed_at),
    }


def result_to_json(assessment: Assessment) -> dict[str, Any]:
    """Return the reasons of an assessment in the form that is stored and sealed."""
    return {
        "missingTypes": list(assessment.missing_types),
        "failedTypes": list(assessment.failed_types),
        "missingNames": list(assessment.missing_names),
        "failedNames": list(assessment.failed_names),
        "required": sorted(str(one.newest.attestation_id) for one in assessment.considered if one.required),
        "details": assessment.details,
    }
