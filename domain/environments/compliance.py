"""Compliance of what runs: of one artifact by all flows that reported it, and of an environment by its artifacts."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from uuid import UUID

from domain.facts.approvals import ApprovalOutcome, Standing
from domain.facts.assertions import AssertionOutcome, Assessment, assess
from domain.facts.attestations import ResultStatus
from domain.facts.evaluation import Asked, Candidate, LatestResult, RequirementResult, State

MAX_REASONS = 20
"""Reasons that are given for one artifact; one with more is as non-compliant without the rest."""


class ComplianceState(StrEnum):
    """Whether what runs has the evidence that is required of it."""

    COMPLIANT = "COMPLIANT"
    NON_COMPLIANT = "NON_COMPLIANT"
    UNKNOWN = "UNKNOWN"


_WORST_FIRST = (ComplianceState.NON_COMPLIANT, ComplianceState.UNKNOWN, ComplianceState.COMPLIANT)


def worst(states: Iterable[ComplianceState]) -> ComplianceState:
    """Return NON_COMPLIANT if there is one, else UNKNOWN if there is one or nothing at all, else COMPLIANT."""
    return min(states, key=_WORST_FIRST.index, default=ComplianceState.UNKNOWN)


class ReasonCode(StrEnum):
    """Why something is not compliant."""

    NOT_REPORTED = "NOT_REPORTED"
    NOTHING_REQUIRED = "NOTHING_REQUIRED"
    ATTESTATION_MISSING = "ATTESTATION_MISSING"
    ATTESTATION_PENDING = "ATTESTATION_PENDING"
    ATTESTATION_FAILED = "ATTESTATION_FAILED"
    APPROVAL_MISSING = "APPROVAL_MISSING"
    APPROVAL_REJECTED = "APPROVAL_REJECTED"
    REQUIREMENTS_UNREADABLE = "REQUIREMENTS_UNREADABLE"
    OUT_OF_SCOPE = "OUT_OF_SCOPE"
    NOTHING_RUNS = "NOTHING_RUNS"
    ARTIFACTS_NON_COMPLIANT = "ARTIFACTS_NON_COMPLIANT"
    ARTIFACTS_UNKNOWN = "ARTIFACTS_UNKNOWN"
    PROVENANCE_MISSING = "PROVENANCE_MISSING"
    PROVENANCE_UNVERIFIED = "PROVENANCE_UNVERIFIED"
    SIGNATURE_MISSING = "SIGNATURE_MISSING"
    TRAIL_NON_COMPLIANT = "TRAIL_NON_COMPLIANT"
    TRAIL_PENDING = "TRAIL_PENDING"
    SECURITY_SCAN_FAILED = "SECURITY_SCAN_FAILED"
    OPA_DENIED = "OPA_DENIED"
    OPA_UNAVAILABLE = "OPA_UNAVAILABLE"
    POLICY_UNREADABLE = "POLICY_UNREADABLE"
    ENVIRONMENT_DRIFTED = "ENVIRONMENT_DRIFTED"
    NO_POLICY = "NO_POLICY"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is not compliant: for programs a code, for people a text; with the attestation and its trail.

    `policy_id` is the policy that demands what is missing, None if the flow itself does.
    """

    code: ReasonCode
    message: str
    attestation_type: str | None = None
    attestation_name: str | None = None
    attestation_id: UUID | None = None
    flow_id: UUID | None = None
    trail_id: UUID | None = None
    policy_id: UUID | None = None

    def out_of_scope(self) -> "Reason":
        """Return what may be told to a caller who may not read the trail."""
        return Reason(ReasonCode.OUT_OF_SCOPE, _OUT_OF_SCOPE, policy_id=self.policy_id)


_OUT_OF_SCOPE = "a flow outside the scopes of the key decides"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one flow says about an artifact, by the trail of its newest report there. The ids may be kept from a caller.

    `reasons` is empty if it is compliant.
    """

    state: ComplianceState
    reasons: tuple[Reason, ...]
    flow_id: UUID | None
    trail_id: UUID | None

    def out_of_scope(self) -> "Judgement":
        """Return what may be told to a caller who may not read the trail: the state alone."""
        reasons = dict.fromkeys(reason.out_of_scope() for reason in self.reasons)
        return Judgement(self.state, tuple(reasons), None, None)


def judge(
    asked: Asked,
    latest: Sequence[LatestResult],
    candidate: Candidate,
    outcomes: Sequence[ApprovalOutcome] = (),
    *,
    flow_id: UUID,
    trail_id: UUID,
) -> Judgement:
    """Judge an artifact as an assertion does, except that one of which nothing is required is UNKNOWN."""
    assessment = assess(asked, latest, candidate, outcomes)
    if assessment.outcome is AssertionOutcome.NON_COMPLIANT:
        state, reasons = ComplianceState.NON_COMPLIANT, _shortcomings(asked, assessment)
    elif assessment.findings or assessment.approval:
        state, reasons = ComplianceState.COMPLIANT, iter(())
    else:
        message = f"the flow {asked.flow_name} requires no attestations of it"
        state, reasons = ComplianceState.UNKNOWN, iter((Reason(ReasonCode.NOTHING_REQUIRED, message),))
    placed = (replace(reason, flow_id=flow_id, trail_id=trail_id) for reason in islice(reasons, MAX_REASONS))
    return Judgement(state, tuple(placed), flow_id, trail_id)


@dataclass(frozen=True, slots=True)
class ArtifactCompliance:
    """The compliance of a digest, with the flow and the trail that decide."""

    digest: str
    state: ComplianceState
    reasons: tuple[Reason, ...]
    flow_id: UUID | None = None
    trail_id: UUID | None = None


def artifact_compliance(digest: str, judgements: Sequence[Judgement]) -> ArtifactCompliance:
    """Sum up what the flows say about an artifact, those of its newest reports first.

    A flow that requires nothing of it neither vouches for it nor against it; of the others the worst counts. So no
    later report, on another flow, hides that a flow found something.
    """
    if not judgements:
        reason = Reason(ReasonCode.NOT_REPORTED, "nobody reported an artifact with this digest")
        return ArtifactCompliance(digest, ComplianceState.UNKNOWN, (reason,))
    telling = [one for one in judgements if one.state is not ComplianceState.UNKNOWN] or judgements
    state = worst(one.state for one in telling)
    deciding = [one for one in telling if one.state is state]
    reasons = dict.fromkeys(reason for one in deciding for reason in one.reasons)
    return ArtifactCompliance(
        digest, state, tuple(islice(reasons, MAX_REASONS)), deciding[0].flow_id, deciding[0].trail_id
    )


Artifact = tuple[str, str]
"""What runs in an environment, by its name there and its digest."""


@dataclass(frozen=True, slots=True)
class AttachedPolicy:
    """A version of a policy that is attached to an environment."""

    id: UUID
    version: int
    name: str


@dataclass(frozen=True, slots=True)
class PolicyFindings:
    """What the policies of an environment say about what runs there.

    `lacking` has the artifacts that they apply to, each with why it does not fulfil them: nothing if it does.
    """

    policies: Sequence[AttachedPolicy]
    lacking: Mapping[Artifact, Sequence[Reason]]

    def applied_to(self, artifact: Artifact, by_flows: ArtifactCompliance) -> ArtifactCompliance:
        """Return the compliance of an artifact by its flows and by the policies."""
        lacking = self.lacking.get(artifact)
        return by_flows if lacking is None else with_policies(by_flows, lacking)


def with_policies(by_flows: ArtifactCompliance, lacking: Sequence[Reason]) -> ArtifactCompliance:
    """Return the compliance of an artifact that policies apply to; `lacking` is why it does not fulfil them.

    If it does, that makes up for flows which require nothing of it, but for none that found something, and for no
    report: policies are fulfilled by evidence alone.
    """
    if lacking:
        return _lacking(by_flows, lacking)
    if by_flows.state is ComplianceState.UNKNOWN and not _unreported(by_flows):
        return replace(by_flows, state=ComplianceState.COMPLIANT, reasons=())
    return by_flows


def _lacking(by_flows: ArtifactCompliance, lacking: Sequence[Reason]) -> ArtifactCompliance:
    if by_flows.state is ComplianceState.NON_COMPLIANT:
        most = max(MAX_REASONS // 2, MAX_REASONS - len(lacking))  # both are told
        return replace(by_flows, reasons=(*by_flows.reasons[:most], *lacking)[:MAX_REASONS])
    told = by_flows.reasons if _unreported(by_flows) else ()
    decided_by = lacking[0]
    return ArtifactCompliance(
        by_flows.digest,
        ComplianceState.NON_COMPLIANT,
        (*told, *lacking)[:MAX_REASONS],
        decided_by.flow_id,
        decided_by.trail_id,
    )


def _unreported(compliance: ArtifactCompliance) -> bool:
    return any(reason.code is ReasonCode.NOT_REPORTED for reason in compliance.reasons)


@dataclass(frozen=True, slots=True)
class EnvironmentCompliance:
    """The compliance of an environment, with how many running artifacts have each state, and the policies it is by."""

    environment_id: UUID
    state: ComplianceState
    reasons: tuple[Reason, ...]
    counts: Mapping[ComplianceState, int]
    policies: Sequence[AttachedPolicy] = ()


def environment_compliance(
    environment_id: UUID, running: Iterable[ComplianceState], policies: Sequence[AttachedPolicy] = ()
) -> EnvironmentCompliance:
    """Sum up what runs in an environment: the worst counts, and nothing is known of one in which nothing runs."""
    counts = Counter(running)
    return EnvironmentCompliance(environment_id, worst(counts), tuple(_of_environment(counts)), counts, policies)


def _of_environment(counts: Mapping[ComplianceState, int]) -> Iterator[Reason]:
    total = sum(counts.values())
    if not total:
        yield Reason(ReasonCode.NOTHING_RUNS, "nothing is known to run here")
    if bad := counts.get(ComplianceState.NON_COMPLIANT):
        yield Reason(ReasonCode.ARTIFACTS_NON_COMPLIANT, f"{bad} of {total} running artifacts are not compliant")
    if unknown := counts.get(ComplianceState.UNKNOWN):
        yield Reason(
            ReasonCode.ARTIFACTS_UNKNOWN, f"the compliance of {unknown} of {total} running artifacts is unknown"
        )


def _shortcomings(asked: Asked, assessment: Assessment) -> Iterator[Reason]:
    """Yield what keeps an artifact from being compliant: what failed first."""
    findings = [one for one in assessment.findings if one.state is not State.SATISFIED]
    for finding in sorted(findings, key=lambda one: one.state is not State.FAILED):
        yield from reasons_of(finding)
    for result in assessment.unasked:
        message = f"attestation {result.label} failed, although it is not required"
        yield _about(ReasonCode.ATTESTATION_FAILED, message, result)
    if (approval := assessment.approval) and approval.problem:
        rejected = approval.standing is Standing.REJECTED
        yield Reason(ReasonCode.APPROVAL_REJECTED if rejected else ReasonCode.APPROVAL_MISSING, approval.problem)
    problems = [asked.requirements.problem, *(one.problem for one in findings)]
    for problem in problems:
        if problem:
            yield Reason(ReasonCode.REQUIREMENTS_UNREADABLE, problem)


def reasons_of(finding: RequirementResult) -> Iterator[Reason]:
    """Yield what is wrong with one requirement: every result that failed or is pending, else that it is missing."""
    required = finding.requirement
    failed = [one for one in finding.latest if one.status == ResultStatus.FAILED]
    pending = [one for one in finding.latest if one.status == ResultStatus.PENDING]
    if failed:
        for result in failed:
            yield _about(ReasonCode.ATTESTATION_FAILED, f"attestation {required.label} failed", result)
    elif pending:
        for result in pending:
            yield _about(ReasonCode.ATTESTATION_PENDING, f"attestation {required.label} is pending", result)
    else:
        also = ", and its name has one of another type" if finding.latest else ""
        message = f"attestation {required.label} is missing{also}"
        yield Reason(ReasonCode.ATTESTATION_MISSING, message, required.type, required.name)


def _about(code: ReasonCode, message: str, result: LatestResult) -> Reason:
    return Reason(code, message, result.type, result.name, result.attestation_id)
