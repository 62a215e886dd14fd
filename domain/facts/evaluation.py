"""The evaluator: compares requirements with the latest results, for trail status and assertions alike.

It is pure: everything is computed from the arguments alone, so that a verdict can be recomputed years later.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple
from uuid import UUID

from domain.facts.approvals import ApprovalOutcome, Standing, shortcoming, standing, trail_standing
from domain.facts.attestations import ResultStatus
from domain.facts.conditions import Context, InvalidCondition, holds
from domain.facts.requirements import ANY_TYPE, Requirement, RequirementSet
from domain.facts.trails import TrailStatus


class LatestResult(NamedTuple):
    """The newest attestation of one identity on a trail, with the result that decides.

    `name` is None if it was reported without one. `slot` is the name and `digest` the digest of the artifact it is
    about; both are empty if it is about the trail.
    """

    identity: str
    name: str | None
    type: str
    slot: str
    digest: str
    status: ResultStatus
    observed_at: datetime
    attestation_id: UUID
    result_n: int

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
    """What the evaluator needs from the flow: its requirements, its approval rule, and the values for conditions.

    `approver_roles` are the roles of which each must be that of somebody who approved.
    """

    requirements: RequirementSet
    approval: bool
    flow_name: str
    flow_tags: tuple[tuple[str, str], ...] = ()
    approver_roles: tuple[str, ...] = ()

    def context(self, candidate: Candidate | None) -> Context:
        """Return the values for conditions about an artifact, or about the trail if None."""
        name, digest = (candidate.name, candidate.digest) if candidate else (None, None)
        return Context(self.flow_name, dict(self.flow_tags), name, digest)

    def approval_of(self, outcomes: Sequence[ApprovalOutcome], digest: str) -> "ApprovalFinding | None":
        """Return whether an artifact is approved as its flow requires, if it requires that."""
        if not self.approval:
            return None
        found, newest = standing(outcomes, digest, roles=self.approver_roles)
        return ApprovalFinding(found, newest, shortcoming(found, newest, self.approver_roles))


@dataclass(frozen=True, slots=True)
class ApprovalFinding:
    """What the approval that is required says: the newest one that was decided, and what is wrong, if anything."""

    standing: Standing
    newest: ApprovalOutcome | None
    problem: str | None


def trail_status(
    asked: Asked,
    latest: Sequence[LatestResult],
    artifacts: Sequence[Candidate],
    outcomes: Sequence[ApprovalOutcome] = (),
) -> TrailStatus:
    """Compute the status of a trail. `outcomes` are its decided approvals; only if one is required they count.

    Any newest result FAILED makes it NON_COMPLIANT, and so does a rejected approval. It is COMPLIANT when every
    requirement that applies is satisfied, every artifact of the template was reported, and the approval, if required,
    was granted; without artifacts in the template or a required approval, at least one result must have PASSED as well.
    """
    approval = _approval(asked, artifacts, outcomes) if asked.approval else Standing.GRANTED
    if approval is Standing.REJECTED or any(newest.status == ResultStatus.FAILED for newest in latest):
        return TrailStatus.NON_COMPLIANT
    findings = trail_findings(asked, latest, artifacts)
    complete = findings is not None and all(one.state is State.SATISFIED for one in findings)
    passed = any(newest.status == ResultStatus.PASSED for newest in latest)
    # An empty trail of a flow without requirements is PENDING.
    settled = passed or asked.approval or bool(asked.requirements.artifacts)
    approved = approval is Standing.GRANTED
    return TrailStatus.COMPLIANT if complete and settled and approved else TrailStatus.PENDING


def _approval(asked: Asked, artifacts: Sequence[Candidate], outcomes: Sequence[ApprovalOutcome]) -> Standing:
    return trail_standing(outcomes, {one.digest for one in artifacts}, roles=asked.approver_roles)


def trail_findings(
    asked: Asked, latest: Sequence[LatestResult], artifacts: Sequence[Candidate]
) -> list[RequirementResult] | None:
    """Evaluate every requirement that applies to the trail and its artifacts.

    None if that is not possible: an artifact of the template was not reported, or the requirements cannot be read.
    """
    if asked.requirements.problem:
        return None
    if not asked.requirements.trail and not asked.requirements.artifacts:
        return []
    results = Results(latest)
    findings = [*_findings(asked, asked.requirements.trail, results, None)]
    reported: dict[str, list[Candidate]] = defaultdict(list)
    for artifact in artifacts:
        reported[artifact.name].append(artifact)
    for slot in asked.requirements.artifacts:
        if slot.name not in reported:
            return None
        for artifact in reported[slot.name]:
            findings += _findings(asked, slot.requirements, results, artifact)
    return findings


def artifact_findings(asked: Asked, latest: Sequence[LatestResult], candidate: Candidate) -> list[RequirementResult]:
    """Evaluate every requirement that applies to one artifact: the trail's own and those under the artifact's name.

    Results for another digest or another artifact name do not count.
    """
    results = Results(latest)
    findings = [*_findings(asked, asked.requirements.trail, results, candidate)]
    for slot in asked.requirements.artifacts:
        if slot.name == candidate.name:
            findings += _findings(asked, slot.requirements, results, candidate)
    return findings


def finding_of(
    asked: Asked, requirement: Requirement, results: "Results", candidate: Candidate
) -> RequirementResult | None:
    """Evaluate one requirement of an artifact as `artifact_findings` does; None if its condition does not hold."""
    return next(iter(_findings(asked, (requirement,), results, candidate)), None)


def about(candidate: Candidate, latest: Iterable[LatestResult]) -> list[LatestResult]:
    """Return the latest results that are about this artifact or about its trail as a whole."""
    return [newest for newest in latest if _is_about(candidate, newest)]


def _is_about(candidate: Candidate, newest: LatestResult) -> bool:
    return newest.digest in ("", candidate.digest) and newest.slot in ("", candidate.name)


def _findings(
    asked: Asked, requirements: Iterable[Requirement], results: "Results", candidate: Candidate | None
) -> Iterable[RequirementResult]:
    context: Context | None = None
    for requirement in requirements:
        problem: str | None = None
        if requirement.condition is not None:
            context = context or asked.context(candidate)
            try:
                if not holds(requirement.condition, context):
                    continue
            except InvalidCondition as error:
                problem = f"if of '{requirement.label}': {error}"  # the requirement then applies: fail closed
        yield RequirementResult(requirement, *results.judged(requirement, candidate), problem)


def superseded_runs(runs: Iterable[tuple[str, Collection[str]]]) -> set[str]:
    """Return the runs whose results no longer count, given the newest run of each identity and its earlier ones.

    A run is superseded by another one that is newer in an identity that both have results of. If each is newer in one
    identity, because a part of the older run was run again, both count.
    """
    newer = {(earlier, newest) for newest, others in runs for earlier in others}
    return {earlier for earlier, newest in newer if (newest, earlier) not in newer}


def labels(findings: Iterable[RequirementResult], *states: State, named: bool | None = None) -> tuple[str, ...]:
    """Return the labels of requirements in these states, each once; `named` selects those with or without a name."""
    chosen = (
        one.requirement.label
        for one in findings
        if one.state in states and named in (None, one.requirement.name is not None)
    )
    return tuple(dict.fromkeys(chosen))


class _Judged(NamedTuple):
    state: State
    latest: tuple[LatestResult, ...]

    @classmethod
    def of(cls, latest: Sequence[LatestResult], *, misfit: bool = False) -> "_Judged":
        """Judge the results that a requirement asks for; `misfit`: its name has a result of another type as well."""
        statuses = {newest.status for newest in latest}
        if ResultStatus.FAILED in statuses:
            state = State.FAILED
        else:
            state = State.SATISFIED if statuses == {ResultStatus.PASSED} and not misfit else State.MISSING
        return cls(state, tuple(latest))


class Results:
    """Latest results, indexed by name and type once, so that the cost of all requirements and artifacts is linear."""

    def __init__(self, latest: Collection[LatestResult]) -> None:
        self._latest = latest
        self._judged: dict[tuple[str, str | None, Candidate | None], _Judged] = {}
        self._named: dict[tuple[str, Candidate | None], Mapping[str, list[LatestResult]]] = {}

    @cached_property
    def _of_type(self) -> Mapping[str, list[LatestResult]]:
        found: dict[str, list[LatestResult]] = defaultdict(list)
        for newest in self._latest:
            found[newest.type].append(newest)
        return found

    @cached_property
    def _of_name(self) -> Mapping[str | None, list[LatestResult]]:
        found: dict[str | None, list[LatestResult]] = defaultdict(list)
        for newest in self._latest:
            found[newest.name].append(newest)
        return found

    def judged(self, requirement: Requirement, candidate: Candidate | None) -> _Judged:
        """Judge a requirement of an artifact, or of the trail as a whole if None."""
        key = (requirement.type, requirement.name, candidate)
        if key not in self._judged:
            judge = self._judge_type if requirement.name is None else self._judge_name
            self._judged[key] = judge(requirement, candidate)
        return self._judged[key]

    def _judge_type(self, requirement: Requirement, candidate: Candidate | None) -> _Judged:
        """All results of the type count."""
        typed = self._of_type.get(requirement.type, [])
        return _Judged.of(typed if candidate is None else about(candidate, typed))

    def _judge_name(self, requirement: Requirement, candidate: Candidate | None) -> _Judged:
        """Every identity under the name counts; one of another type keeps the requirement from being satisfied."""
        assert requirement.name is not None  # noqa: S101 - `judged` asks for it
        key = (requirement.name, candidate)
        if key not in self._named:
            self._named[key] = self._by_type(*key)
        by_type = self._named[key]
        if requirement.type == ANY_TYPE:
            return _Judged.of([newest for typed in by_type.values() for newest in typed])
        return _Judged.of(by_type.get(requirement.type, []), misfit=bool(by_type.keys() - {requirement.type}))

    def _by_type(self, name: str, candidate: Candidate | None) -> Mapping[str, list[LatestResult]]:
        """Return the newest result of each identity under a name, by type.

        A result for one artifact does not satisfy a name that is required of the trail as a whole.
        """
        newest: dict[str, LatestResult] = {}
        for one in self._of_name.get(name, ()):
            relevant = _is_about(candidate, one) if candidate else not one.slot
            if relevant and (one.identity not in newest or _recency(one) > _recency(newest[one.identity])):
                newest[one.identity] = one
        by_type: dict[str, list[LatestResult]] = defaultdict(list)
        for one in newest.values():
            by_type[one.type].append(one)
        return by_type


def _recency(newest: LatestResult) -> tuple[datetime, UUID]:
    return newest.observed_at, newest.attestation_id
