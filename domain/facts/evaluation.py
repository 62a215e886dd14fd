"""The one evaluator: what is required, held against the newest results (facts.md 5.4, 8; ARCHITECTURE.md 4.3).

Pure: status and assertion are computed from nothing but their arguments, so that both can be recomputed years later.
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
    """The newest attestation of one key of a trail, with its newest result.

    `slot` names the artifact it is meant for and `digest` the very one; both are empty where it speaks of the trail.
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
        """None for an attestation that was reported without one."""
        return None if self.key == f"type:{self.type}" else self.key

    @property
    def label(self) -> str:
        """What a person calls it: its name, else its type."""
        return self.name or self.type


@dataclass(frozen=True, slots=True)
class Candidate:
    """An artifact as it was reported: by image name and digest."""

    name: str
    digest: str


class State(StrEnum):
    """How a requirement stands."""

    SATISFIED = "SATISFIED"
    FAILED = "FAILED"
    MISSING = "MISSING"


@dataclass(frozen=True, slots=True)
class RequirementResult:
    """How one requirement stands, by which attestations, and what was wrong with its condition."""

    requirement: Requirement
    state: State
    latest: tuple[LatestResult, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Everything a judgement needs to know of the flow: its requirements, its approval rule, what conditions read."""

    requirements: RequirementSet
    approval: bool
    flow_name: str
    flow_tags: tuple[tuple[str, str], ...] = ()

    def context(self, candidate: Candidate | None) -> Context:
        """What conditions see."""
        name, digest = (candidate.name, candidate.digest) if candidate else (None, None)
        return Context(self.flow_name, dict(self.flow_tags), name, digest)


def trail_status(asked: Asked, latest: Sequence[LatestResult], artifacts: Sequence[Candidate]) -> TrailStatus:
    """The verdict on a trail.

    Any newest FAILED makes it NON_COMPLIANT. It is COMPLIANT when all that applies is satisfied, every artifact of the
    template was reported, something passed and no approval is outstanding; approvals do not exist yet, so a flow that
    asks for one stays PENDING.
    """
    if any(newest.status == ResultStatus.FAILED for newest in latest):
        return TrailStatus.NON_COMPLIANT
    findings = trail_findings(asked, latest, artifacts)
    complete = findings is not None and all(one.state is State.SATISFIED for one in findings)
    passed = any(newest.status == ResultStatus.PASSED for newest in latest)
    settled = passed or bool(asked.requirements.artifacts)  # an empty trail of a flow that asks for nothing is PENDING
    return TrailStatus.COMPLIANT if complete and settled and not asked.approval else TrailStatus.PENDING


def trail_findings(
    asked: Asked, latest: Sequence[LatestResult], artifacts: Sequence[Candidate]
) -> list[RequirementResult] | None:
    """Every requirement that applies to the trail and its artifacts.

    None when that cannot be told: an artifact was never reported, or the requirements cannot be read.
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
    """Every requirement that applies to one artifact of a trail: the trail's own, and those under the artifact's name.

    Evidence that bears another digest, or is meant for another artifact, does not count.
    """
    relevant = about(candidate, latest)
    findings = [*_findings(asked, asked.requirements.trail, relevant, candidate)]
    for slot in asked.requirements.artifacts:
        if slot.name == candidate.name:
            findings += _findings(asked, slot.requirements, relevant, candidate)
    return findings


def about(candidate: Candidate, latest: Iterable[LatestResult]) -> list[LatestResult]:
    """The latest results that speak of this artifact, or of its trail as a whole."""
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
                problem = f"if of '{requirement.label}': {error}"  # it applies: a rule that cannot be read never waives
        found = _matching(requirement, latest, candidate)
        yield RequirementResult(requirement, _state(found), tuple(found), problem)


def labels(findings: Iterable[RequirementResult], *states: State, named: bool | None = None) -> tuple[str, ...]:
    """What the findings in these states ask for, each once; by name or by type alone where that is said."""
    chosen = (
        one.requirement.label
        for one in findings
        if one.state in states and named in (None, one.requirement.name is not None)
    )
    return tuple(dict.fromkeys(chosen))


def _matching(
    requirement: Requirement, latest: Sequence[LatestResult], candidate: Candidate | None
) -> list[LatestResult]:
    """By name the newest one, if it is of the right type; by type the newest of every key.

    What was reported for one artifact is no answer to a name that is asked of the trail as a whole.
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
