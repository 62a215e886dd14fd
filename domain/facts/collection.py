"""The completeness of a trail: which required attestations and artifacts are missing or failed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from domain.facts.evaluation import Asked, Candidate, LatestResult, State, labels, trail_findings


@dataclass(frozen=True, slots=True)
class Completeness:
    """What is missing and what failed: by name if the requirement has one, otherwise by type.

    `absent_artifacts` are the template's artifacts that were not reported. `problem` says why the requirements cannot
    be read, if so.
    """

    missing_types: tuple[str, ...] = ()
    failed_types: tuple[str, ...] = ()
    missing_names: tuple[str, ...] = ()
    failed_names: tuple[str, ...] = ()
    absent_artifacts: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every requirement has PASSED; a reported but failed attestation is not enough."""
        return self == _COMPLETE


_COMPLETE = Completeness()


def completeness(asked: Asked, latest: Sequence[LatestResult], artifacts: Sequence[Candidate]) -> Completeness:
    """Compare the latest results with the requirements. For an absent artifact, only its absence is listed."""
    reported = {artifact.name for artifact in artifacts}
    slots = asked.requirements.artifacts
    present = replace(asked.requirements, artifacts=tuple(slot for slot in slots if slot.name in reported))
    findings = trail_findings(replace(asked, requirements=present), latest, artifacts) or []
    return Completeness(
        missing_types=labels(findings, State.MISSING, named=False),
        failed_types=labels(findings, State.FAILED, named=False),
        missing_names=labels(findings, State.MISSING, named=True),
        failed_names=labels(findings, State.FAILED, named=True),
        absent_artifacts=tuple(slot.name for slot in slots if slot.name not in reported),
        problem=asked.requirements.problem,
    )
