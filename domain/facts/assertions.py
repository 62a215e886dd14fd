"""Compliance assertions: whether an artifact fulfils the requirements of its flow, judged by its newest trail."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Any

from domain.facts.approvals import ApprovalOutcome
from domain.facts.attestations import ResultStatus
from domain.facts.evaluation import (
    ApprovalFinding,
    Asked,
    Candidate,
    LatestResult,
    RequirementResult,
    State,
    about,
    artifact_findings,
    labels,
)


class AssertionOutcome(StrEnum):
    """The outcome of an assertion."""

    COMPLIANT = "COMPLIANT"
    NON_COMPLIANT = "NON_COMPLIANT"


@dataclass(frozen=True, slots=True)
class Considered:
    """An attestation that was considered, and whether a requirement asks for it."""

    newest: LatestResult
    required: bool


@dataclass(frozen=True, slots=True)
class Shortcoming:
    """What a policy of the flow demands and an artifact lacks: an attestation of a type or with a name, or else None.

    `failed`: the attestation is there, and FAILED.
    """

    message: str
    type: str | None = None
    name: str | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Demands:
    """What the policies of a flow demand of an artifact and it lacks.

    `inputs` is what that is based on, in its stored form; None if no policy applies.
    """

    shortcomings: tuple[Shortcoming, ...] = ()
    inputs: Mapping[str, Any] | None = None


NO_DEMANDS = Demands()


@dataclass(frozen=True, slots=True)
class Assessment:
    """The outcome with its reasons. As in OpenFactstore's API, failed types and names are listed as missing as well.

    `findings` are the requirements that apply, `unasked` the failed results that count because there are none,
    `approval` what became of the approval, if one is required.
    """

    outcome: AssertionOutcome
    missing_types: tuple[str, ...]
    failed_types: tuple[str, ...]
    missing_names: tuple[str, ...]
    failed_names: tuple[str, ...]
    considered: tuple[Considered, ...]
    details: str
    findings: tuple[RequirementResult, ...] = ()
    unasked: tuple[LatestResult, ...] = ()
    approval: ApprovalFinding | None = None


def assess(
    asked: Asked,
    latest: Sequence[LatestResult],
    candidate: Candidate,
    outcomes: Sequence[ApprovalOutcome] = (),
    lacking: Sequence[Shortcoming] = (),
) -> Assessment:
    """Judge an artifact by the requirements of its flow. `outcomes` are the decided approvals of its trail.

    `lacking` is what the policies of the flow demand and it lacks.

    Attestations that are not required count only if no requirement applies: then any newest result FAILED blocks.
    """
    findings = artifact_findings(asked, latest, candidate)
    unmet = any(one.state is not State.SATISFIED for one in findings)
    relevant = about(candidate, latest)
    unasked = [newest for newest in relevant if newest.status == ResultStatus.FAILED] if not findings else []
    approval = asked.approval_of(outcomes, candidate.digest)
    unapproved = approval.problem if approval else None
    blocked = bool(unmet or unasked or unapproved or lacking or asked.requirements.problem)
    asked_for = {newest.attestation_id for one in findings for newest in one.latest}
    return Assessment(
        AssertionOutcome.NON_COMPLIANT if blocked else AssertionOutcome.COMPLIANT,
        missing_types=_distinct(labels(findings, State.MISSING, State.FAILED, named=False), _lacking_types(lacking)),
        failed_types=_distinct(
            labels(findings, State.FAILED, named=False), _types(unasked), _lacking_types(lacking, failed=True)
        ),
        missing_names=_distinct(labels(findings, State.MISSING, State.FAILED, named=True), _lacking_names(lacking)),
        failed_names=_distinct(labels(findings, State.FAILED, named=True), _lacking_names(lacking, failed=True)),
        considered=tuple(Considered(newest, newest.attestation_id in asked_for) for newest in relevant),
        details=_details(asked, findings, unasked, unapproved, lacking),
        findings=tuple(findings),
        unasked=tuple(unasked),
        approval=approval,
    )


def unknown_artifact(asked: Asked) -> Assessment:
    """Assess an artifact that no trail of the flow has reported: everything is missing."""
    requirements = asked.requirements.trail
    return Assessment(
        AssertionOutcome.NON_COMPLIANT,
        missing_types=tuple(one.type for one in requirements if one.name is None),
        failed_types=(),
        missing_names=tuple(one.name for one in requirements if one.name is not None),
        failed_names=(),
        considered=(),
        details="No trail of this flow has reported this artifact.",
    )


def _types(latest: Sequence[LatestResult]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(newest.type for newest in latest))


def _lacking_types(lacking: Iterable[Shortcoming], *, failed: bool = False) -> Iterator[str]:
    return (one.type for one in lacking if one.type and not one.name and (one.failed or not failed))


def _lacking_names(lacking: Iterable[Shortcoming], *, failed: bool = False) -> Iterator[str]:
    return (one.name for one in lacking if one.name and (one.failed or not failed))


def _distinct(*labels: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(chain.from_iterable(labels)))


def _details(
    asked: Asked,
    findings: Sequence[RequirementResult],
    unasked: Sequence[LatestResult],
    unapproved: str | None,
    lacking: Sequence[Shortcoming],
) -> str:
    failed, missing = labels(findings, State.FAILED), labels(findings, State.MISSING)
    parts = [
        f"failed: {', '.join(failed)}" if failed else "",
        f"missing: {', '.join(missing)}" if missing else "",
        f"failed although not required: {', '.join(newest.label for newest in unasked)}" if unasked else "",
        unapproved,
        asked.requirements.problem,
        *(one.problem for one in findings if one.problem),
        *(one.message for one in lacking),
    ]
    reasons = "; ".join(part for part in parts if part)
    return reasons or ("all required attestations passed" if findings else "nothing is required")
