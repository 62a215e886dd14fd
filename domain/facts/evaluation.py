"""The evaluator: compares requirements with the latest results, for trail status and assertions alike.

It is pure: everything is computed from the arguments alone, so that a verdict can be recomputed years later.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from domain.facts.attestations import ResultStatus
from domain.facts.conditions import Context, InvalidCondition, holds
from domain.facts.requirements import ANY_TYPE, Requirement, RequirementSet
from domain.facts.trails import TrailStatus


class LatestResult(NamedTuple):
    """The newest attestation for one key of a trail, with its newest result.

    `slot` is the name and `digest` the digest of the artifact it is about; both are empty if it is about the trail.
    """

    key: str
    type: str
    slot: str
    digest: str
    status: ResultStatus
    observed_at: datetime
    attestation_id: UUID
    result_n: int

    @property
    def name(self) -> str | None:
        """The attestation's name; None if it was reported without one."""
        return None if self.key == f"type:{self.type}" else self.key

    @property
    def label(self) -> str:
        """Its name, else its type."""
        return self.name or self.type


@dataclass(frozen=True, slots=True)
class Candidate:
    """A reported artifact, by name and digest."""

    name: str
    digest: str


class State(StrEnum):
    """Whether a requirement is satisfied."""

    SATISFIED = "SATISFIED"
    FAILED = "FAILED"
    MISSING = "MISSING"


@dataclass(frozen=True, slots=True)
class RequirementResult:
    """The state of one requirement, the results that decided it, and what is wrong with its condition, if anything."""

    requirement: Requirement
    state: State
    latest: tuple[LatestResult, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What the evaluator needs from the flow: its requirements, its approval rule, and the values for conditions."""

    requirements: RequirementSet
    approval: bool
    flow_name: str
    flow_tags: tuple[tuple[str, str], ...] = ()

    def context(self, candidate: Candidate | None) -> Context:
        """Return the values for conditions about an artifact, or about the trail if None."""
        name, digest = (candidate.name, candidate.digest) if candidate else (None, None)
        return Context(self.flow_name, dict(self.flow_tags), name, digest)


def trail_status(asked: Asked, latest: Sequence[LatestResult], artifacts: Sequence[Candidate]) -> TrailStatus:
    """Compute the status of a trail.

    Any newest result FAILED makes it NON_COMPLIANT. It is COMPLIANT when every requirement that applies is satisfied,
    every artifact of the template was reported, and no approval is required; without artifacts in the template, at
    least one result must have PASSED as well. Approvals are not implemented yet: flows that require one stay PENDING.
    """
    if any(newest.status == ResultStatus.FAILED for newest in latest):
        return TrailStatus.NON_COMPLIANT
    findings = trail_findings(asked, latest, artifacts)
    complete = findings is not None and all(one.state is State.SATISFIED for one in findings)
    passed = any(newest.status == ResultStatus.PASSED for newest in latest)
    settled = passed or bool(asked.requirements.artifacts)  # an empty trail of a flow without requirements is PENDING
    return TrailStatus.COMPLIANT if complete and settled and not asked.approval else TrailStatus.PENDING


def trail_findings(
    asked: Asked, latest: Sequence[LatestResult], artifacts: Sequence[Candidate]
) -> list[RequirementResult] | None:
    """Evaluate every requirement that applies to the trail and its artifacts.

    None if that is not possible: an artifact of the template was not reported, or the requirements cannot be read.
    """
    if asked.requirements.problem:
        return None
    findings = [*_findings(asked, asked.requirements.trail, latest, None)]
    for slot in asked.requirements.artifacts:
        reported = [artifact for artifact in artifacts if artifact.name == slot.name]
        if not reported:
            return None
        for artifact in reported:
            findings += _findings(asked, slot.requirements, about(artifact, latest), artifact)
    return findings


def artifact_findings(asked: Asked, latest: Sequence[LatestResult], candidate: Candidate) -> list[RequirementResult]:
    """Evaluate every requirement that applies to one artifact: the trail's own and those under the artifact's name.

    Results for another digest or another artifact name do not count.
    """
    relevant = about(candidate, latest)
    findings = [*_findings(asked, asked.requirements.trail, relevant, candidate)]
    for slot in asked.requirements.artifacts:
        if slot.name == candidate.name:
            findings += _findings(asked, slot.requirements, relevant, candidate)
    return findings


def about(candidate: Candidate, latest: Iterable[LatestResult]) -> list[LatestResult]:
    """Return the latest results that are about this artifact or about its trail as a whole."""
    return [
        newest for newest in latest if newest.digest in ("", candidate.digest) and newest.slot in ("", candidate.name)
    ]


def _findings(
    asked: Asked, requirements: Iterable[Requirement], latest: Sequence[LatestResult], candidate: Candidate | None
) -> Iterable[RequirementResult]:
    for requirement in requirements:
        problem: str | None = None
        if requirement.condition is not None:
            try:
                if not holds(requirement.condition, asked.context(candidate)):
                    continue
            except InvalidCondition as error:
                problem = f"if of '{requirement.label}': {error}"  # the requirement then applies: fail closed
        found = _matching(requirement, latest, candidate)
        yield RequirementResult(requirement, _state(found), tuple(found), problem)


def labels(findings: Iterable[RequirementResult], *states: State, named: bool | None = None) -> tuple[str, ...]:
    """Return the labels of requirements in these states, each once; `named` selects those with or without a name."""
    chosen = (
        one.requirement.label
        for one in findings
        if one.state in states and named in (None, one.requirement.name is not None)
    )
    return tuple(dict.fromkeys(chosen))


def _matching(
    requirement: Requirement, latest: Sequence[LatestResult], candidate: Candidate | None
) -> list[LatestResult]:
    """Return the results that decide a requirement.

    For a named requirement, that is the newest result with the name, if its type fits; otherwise all results of the
    type. A result for one artifact does not satisfy a name that is required of the trail as a whole.
    """
    if requirement.name is None:
        return [newest for newest in latest if newest.type == requirement.type]
    named = [newest for newest in latest if newest.name == requirement.name and (candidate or not newest.slot)]
    newest = max(named, key=lambda newest: (newest.observed_at, newest.attestation_id), default=None)
    fits = newest is not None and requirement.type in (ANY_TYPE, newest.type)
    return [newest] if newest is not None and fits else []


def _state(found: Sequence[LatestResult]) -> State:
    statuses = {newest.status for newest in found}
    if ResultStatus.FAILED in statuses:
        return State.FAILED
    return State.SATISFIED if statuses == {ResultStatus.PASSED} else State.MISSING
