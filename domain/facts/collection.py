"""What a trail still lacks of what is asked of it (facts.md 20.1)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from domain.facts.evaluation import Asked, Candidate, LatestResult, State, labels, trail_findings


@dataclass(frozen=True, slots=True)
class Completeness:
    """What is missing and what failed, by type where no name is asked for, else by name.

    `absent_artifacts` are those of the template that nobody reported; with a `problem` the requirements cannot be read.
    """

    missing_types: tuple[str, ...] = ()
    failed_types: tuple[str, ...] = ()
    missing_names: tuple[str, ...] = ()
    failed_names: tuple[str, ...] = ()
    absent_artifacts: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def complete(self) -> bool:
        """Every requirement has PASSED (W64: that something was reported is not enough)."""
        return self == _COMPLETE


_COMPLETE = Completeness()


def completeness(asked: Asked, latest: Sequence[LatestResult], artifacts: Sequence[Candidate]) -> Completeness:
    """The newest results held against the requirements; what is asked of an absent artifact is told by its absence."""
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
