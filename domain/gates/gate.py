"""The gate: whether an artifact may be deployed, and every reason why not."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from domain.environments.allow_list import AllowListEntry
from domain.environments.compliance import Reason, ReasonCode
from domain.gates.evaluation import Evidence, PolicyOutcome, PolicyResult, PolicyVersion, evaluate

MAX_AT_ONCE = 500
"""The size of what is decided beside other requests, in about 5 ms; what is larger goes to a thread."""
OF_CONDITION = 20
"""What a condition adds to the size: more of them than are kept compiled have to be compiled for every question."""


class GateOutcome(StrEnum):
    """The decision of the gate."""

    ALLOWED = "ALLOWED"
    BLOCKED = "BLOCKED"


@dataclass(frozen=True, slots=True)
class Place:
    """The environment that an artifact is to be deployed to. `blocks`: it drifted, and its drift policy is BLOCK."""

    id: UUID
    version: int
    name: str
    blocks: bool


@dataclass(frozen=True, slots=True)
class Known:
    """Everything that the gate decides by: what is known of the artifact, and the policies that apply.

    `place` is None if no environment was named. `allowed_by` is the entry of its allow-list that lets the artifact
    through. `default` is the decision if no policy applies.
    """

    digest: str
    place: Place | None
    allowed_by: AllowListEntry | None
    evidence: Sequence[Evidence]
    policies: Sequence[PolicyVersion]
    default: GateOutcome

    @property
    def size(self) -> int:
        """How much there is to compare: each rule and its conditions with each flow, and each result."""
        rules = sum(1 + OF_CONDITION * rule.conditions for one in self.policies for rule in one.rules.rules)
        return len(self.evidence) * rules + sum(len(one.latest) for one in self.evidence)


@dataclass(frozen=True, slots=True)
class GateDecision:
    """A decision with its reasons: why the artifact is blocked, or the one reason why it is allowed."""

    outcome: GateOutcome
    reasons: tuple[Reason, ...]
    message: str
    results: tuple[PolicyResult, ...] = ()


def decide(known: Known) -> GateDecision:
    """Decide. What the allow-list lets through needs nothing else; otherwise the artifact has to fulfil every policy.

    An artifact that nobody reported is blocked, and so is every one while the environment's drift closes the gate.
    """
    if known.allowed_by:
        entry = known.allowed_by
        return GateDecision(GateOutcome.ALLOWED, (), f"the allow-list lets it through: {entry.reason}")
    results = tuple(evaluate(one, known.evidence, _environment_id(known)) for one in known.policies)
    reasons = (*_first_reasons(known), *(reason for result in results for reason in result.reasons))
    if reasons:
        return GateDecision(GateOutcome.BLOCKED, reasons, "; ".join(dict.fromkeys(r.message for r in reasons)), results)
    if any(result.outcome is PolicyOutcome.PASSED for result in results):
        return GateDecision(GateOutcome.ALLOWED, (), _fulfilled(results), results)
    message = f"no policy applies, and the default is {known.default.value}"
    blocking = (Reason(ReasonCode.NO_POLICY, message),) if known.default is GateOutcome.BLOCKED else ()
    return GateDecision(known.default, blocking, message, results)


def _environment_id(known: Known) -> UUID | None:
    return known.place.id if known.place else None


def _first_reasons(known: Known) -> Sequence[Reason]:
    """Return what blocks whatever the policies say."""
    reasons = []
    if known.place and known.place.blocks:
        message = f"{known.place.name} drifted from its baseline, which blocks deployments to it"
        reasons.append(Reason(ReasonCode.ENVIRONMENT_DRIFTED, message))
    if not known.evidence:
        reasons.append(Reason(ReasonCode.NOT_REPORTED, f"unknown artifact: nobody reported {known.digest}"))
    return reasons


def _fulfilled(results: Sequence[PolicyResult]) -> str:
    return "the policy is fulfilled" if len(results) == 1 else f"all {len(results)} policies are fulfilled"
