"""The evaluator of policies: compares rules with what is known of an artifact.

It is pure: everything is computed from the arguments alone, so that a decision can be recomputed years later.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from domain.environments.compliance import Reason, ReasonCode, reasons_of
from domain.facts.approvals import ApprovalOutcome, Standing, shortcoming, standing
from domain.facts.attestations import ResultStatus
from domain.facts.conditions import InvalidCondition, holds
from domain.facts.evaluation import Asked, Candidate, LatestResult, Results, State, about, finding_of, trail_status
from domain.facts.trails import TrailStatus
from domain.gates.rules import Check, Rule, RuleSet

MAX_REASONS = 20
"""Reasons that one policy gives."""


class ProvenanceState(StrEnum):
    """What is known of the provenance of an artifact. REVOKED: its signature is of a key that was deleted since."""

    NONE = "NONE"
    UNVERIFIED = "UNVERIFIED"
    REVOKED = "REVOKED"
    VERIFIED = "VERIFIED"


@dataclass(frozen=True, slots=True)
class ScanFinding:
    """A security scan that breached its thresholds, and how."""

    tool: str
    breaches: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a bundle of OPA says about an artifact."""

    allow: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of an artifact by its newest report in one flow, and by the trail of that report.

    `latest` and `artifacts` are those of the whole trail, `approvals` its decided ones. `failed` are the security scans
    that breached their thresholds, by attestation. `opinions` are those of bundles by name.
    """

    flow_id: UUID
    trail_id: UUID
    candidate: Candidate
    asked: Asked
    latest: Sequence[LatestResult] = ()
    artifacts: Sequence[Candidate] = ()
    provenance: ProvenanceState = ProvenanceState.NONE
    approvals: Sequence[ApprovalOutcome] = ()
    failed: Mapping[UUID, ScanFinding] = field(default_factory=dict)
    opinions: Mapping[str, Opinion] = field(default_factory=dict)
    results: Results = field(init=False, repr=False, compare=False)
    """`latest`, indexed once for the rules of all policies."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "results", Results(self.latest))


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A version of a policy that applies: to artifacts of all flows, or to those of `flows`."""

    id: UUID
    version: int
    name: str
    rules: RuleSet
    flows: frozenset[UUID] | None = None


def without_opa(policy: PolicyVersion) -> PolicyVersion:
    """Return what a policy demands beside OPA, whose bundles take part in decisions of the gate only."""
    rules = tuple(rule for rule in policy.rules.rules if rule.check is not Check.OPA)
    return replace(policy, rules=replace(policy.rules, rules=rules))


class PolicyOutcome(StrEnum):
    """Whether an artifact fulfils a policy. One whose rules do not apply to it is NOT_APPLICABLE."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    NOT_APPLICABLE = "NOT_APPLICABLE"


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """What a policy says about an artifact, with the reasons if it is not fulfilled."""

    policy: PolicyVersion
    outcome: PolicyOutcome
    reasons: tuple[Reason, ...] = ()


def evaluate(policy: PolicyVersion, evidence: Sequence[Evidence], environment_id: UUID | None) -> PolicyResult:
    """Evaluate a policy. `evidence` is that of every flow that reported the artifact, of the newest report first.

    A rule is fulfilled if it is in one of the flows that the policy is about, and fails in none of them: so no report
    in another flow hides what was found in one. A rule of `_EVERYWHERE` has to be fulfilled in all of them.
    """
    if policy.rules.problem:
        message = f"policy {policy.name} cannot be read: {policy.rules.problem}"
        return _failed(policy, [Reason(ReasonCode.POLICY_UNREADABLE, message)])
    relevant = [one for one in evidence if policy.flows is None or one.flow_id in policy.flows]
    findings = [_combined(rule, [_found(rule, one, environment_id) for one in relevant]) for rule in policy.rules.rules]
    reasons = [reason for finding in findings for reason in finding.reasons]
    if any(finding.state in (State.FAILED, State.MISSING) for finding in findings):
        return _failed(policy, [replace(one, message=f"policy {policy.name}: {one.message}") for one in reasons])
    applies = any(finding.state is State.SATISFIED for finding in findings)
    return PolicyResult(policy, PolicyOutcome.PASSED if applies else PolicyOutcome.NOT_APPLICABLE)


def _failed(policy: PolicyVersion, reasons: Iterable[Reason]) -> PolicyResult:
    distinct = tuple(dict.fromkeys(replace(reason, policy_id=policy.id) for reason in reasons))
    return PolicyResult(policy, PolicyOutcome.FAILED, distinct[:MAX_REASONS])


class _Finding(NamedTuple):
    """What one rule says by the evidence of one flow; the state is None if the rule does not apply."""

    state: State | None
    reasons: tuple[Reason, ...] = ()


_SATISFIED, _NOT_APPLICABLE = _Finding(State.SATISFIED), _Finding(None)


_EVERYWHERE = frozenset({Check.TRAIL_COMPLIANCE, Check.OPA})
"""Checks that judge each flow by its own demands, for which what is satisfied in another flow proves nothing."""


def _combined(rule: Rule, findings: Sequence[_Finding]) -> _Finding:
    """Sum up the findings of all flows: what failed counts first, then what is satisfied, then what is missing."""
    against = (State.FAILED, State.MISSING) if rule.check in _EVERYWHERE else (State.FAILED,)
    found = [one for one in findings if one.state in against]
    if found:
        return _Finding(State.FAILED, tuple(reason for one in found for reason in one.reasons))
    if any(one.state is State.SATISFIED for one in findings):
        return _SATISFIED
    return next((one for one in findings if one.state is State.MISSING), _NOT_APPLICABLE)


def _found(rule: Rule, evidence: Evidence, environment_id: UUID | None) -> _Finding:
    waived, problems = _waived(rule, evidence)
    if waived:
        return _NOT_APPLICABLE
    state, reasons = _CHECKS[rule.check](rule, evidence, environment_id)
    if state in (State.FAILED, State.MISSING):
        reasons = (*reasons, *problems)
    placed = (replace(reason, flow_id=evidence.flow_id, trail_id=evidence.trail_id) for reason in reasons)
    return _Finding(state, tuple(placed))


def _waived(rule: Rule, evidence: Evidence) -> tuple[bool, list[Reason]]:
    """Return whether an exception of the rule holds, and what is wrong with those that cannot be evaluated."""
    problems = []
    for condition in rule.exceptions:
        try:
            if holds(condition, evidence.asked.context(evidence.candidate)):
                return True, []
        except InvalidCondition as error:  # such an exception waives nothing: fail closed
            message = f"the exception {condition!r} cannot be evaluated: {error}"
            problems.append(Reason(ReasonCode.REQUIREMENTS_UNREADABLE, message))
    return False, problems


def _attestation(rule: Rule, evidence: Evidence, _: UUID | None) -> _Finding:
    assert rule.requirement is not None  # noqa: S101 - a rule about an attestation has one
    finding = finding_of(evidence.asked, rule.requirement, evidence.results, evidence.candidate)
    if finding is None:
        return _NOT_APPLICABLE
    if finding.state is State.SATISFIED or (finding.latest and not rule.must_pass):
        return _SATISFIED
    problem = [Reason(ReasonCode.REQUIREMENTS_UNREADABLE, finding.problem)] if finding.problem else []
    return _Finding(finding.state, (*reasons_of(finding), *problem))


def _provenance(_rule: Rule, evidence: Evidence, _: UUID | None) -> _Finding:
    if evidence.provenance is not ProvenanceState.NONE:
        return _SATISFIED
    return _missing(ReasonCode.PROVENANCE_MISSING, f"no provenance is recorded for {evidence.candidate.name}")


def _verified_provenance(rule: Rule, evidence: Evidence, environment_id: UUID | None) -> _Finding:
    if evidence.provenance is ProvenanceState.NONE:
        return _provenance(rule, evidence, environment_id)
    return _signed(ReasonCode.PROVENANCE_UNVERIFIED, "the provenance of {} is not verified", evidence)


def _signature(_rule: Rule, evidence: Evidence, _: UUID | None) -> _Finding:
    return _signed(ReasonCode.SIGNATURE_MISSING, "{} has no signature of a registered key", evidence)


def _signed(code: ReasonCode, message: str, evidence: Evidence) -> _Finding:
    if evidence.provenance is ProvenanceState.VERIFIED:
        return _SATISFIED
    revoked = ": the key that signed was deleted" if evidence.provenance is ProvenanceState.REVOKED else ""
    return _missing(code, message.format(evidence.candidate.name) + revoked)


def _approval(_rule: Rule, evidence: Evidence, environment_id: UUID | None) -> _Finding:
    roles = evidence.asked.approver_roles
    found, newest = standing(evidence.approvals, evidence.candidate.digest, environment_id, roles=roles)
    problem = shortcoming(found, newest, roles)
    if problem is None:
        return _SATISFIED
    if found is Standing.REJECTED:
        return _Finding(State.FAILED, (Reason(ReasonCode.APPROVAL_REJECTED, problem),))
    return _missing(ReasonCode.APPROVAL_MISSING, problem)


def _trail_compliance(rule: Rule, evidence: Evidence, environment_id: UUID | None) -> _Finding:
    """Judge the trail anew: an approval for the environment alone counts here, though not for its stored status.

    A missing approval hides nothing that failed.
    """
    approved = _approval(rule, evidence, environment_id) if evidence.asked.approval else _SATISFIED
    status = trail_status(replace(evidence.asked, approval=False), evidence.latest, evidence.artifacts)
    if status is TrailStatus.COMPLIANT:
        return approved
    failed = status is TrailStatus.NON_COMPLIANT
    code = ReasonCode.TRAIL_NON_COMPLIANT if failed else ReasonCode.TRAIL_PENDING
    reason = Reason(code, f"the trail of flow {evidence.asked.flow_name} is {status.value}")
    state = State.FAILED if failed or approved.state is State.FAILED else State.MISSING
    return _Finding(state, (*approved.reasons, reason))


def _security_scans(_rule: Rule, evidence: Evidence, _: UUID | None) -> _Finding:
    failed = [
        Reason(
            ReasonCode.SECURITY_SCAN_FAILED,
            f"a security scan failed: {scan.tool} ({'; '.join(scan.breaches)})",
            result.type,
            result.name,
            result.attestation_id,
        )
        for result in about(evidence.candidate, evidence.latest)
        if result.status is ResultStatus.FAILED and (scan := evidence.failed.get(result.attestation_id)) is not None
    ]
    return _Finding(State.FAILED, tuple(failed)) if failed else _SATISFIED


def _opa(rule: Rule, evidence: Evidence, _: UUID | None) -> _Finding:
    assert rule.bundle is not None  # noqa: S101 - a rule for OPA names one
    opinion = evidence.opinions.get(rule.bundle)
    if opinion is None:
        asked = f"the bundle {rule.bundle} of OPA says nothing of it in flow {evidence.asked.flow_name}"
        return _missing(
            ReasonCode.OPA_UNAVAILABLE, f"{asked}: none of this name is active, or there is too much to ask"
        )
    if opinion.allow:
        return _SATISFIED
    said = opinion.reasons or ("it does not allow the artifact",)
    return _Finding(
        State.FAILED, tuple(Reason(ReasonCode.OPA_DENIED, f"bundle {rule.bundle} of OPA denies: {one}") for one in said)
    )


def _missing(code: ReasonCode, message: str) -> _Finding:
    return _Finding(State.MISSING, (Reason(code, message),))


_CHECKS: Mapping[Check, Callable[[Rule, Evidence, UUID | None], _Finding]] = {
    Check.ATTESTATION: _attestation,
    Check.PROVENANCE: _provenance,
    Check.VERIFIED_PROVENANCE: _verified_provenance,
    Check.SIGNATURE: _signature,
    Check.APPROVAL: _approval,
    Check.TRAIL_COMPLIANCE: _trail_compliance,
    Check.SECURITY_SCANS: _security_scans,
    Check.OPA: _opa,
}


def needed(policies: Iterable[PolicyVersion]) -> frozenset[Check]:
    """Return what the rules of policies look at."""
    return frozenset(rule.check for policy in policies for rule in policy.rules.rules)


def bundles(policies: Iterable[PolicyVersion]) -> Iterator[str]:
    """Yield the names of the bundles that policies name."""
    yield from {rule.bundle: None for policy in policies for rule in policy.rules.rules if rule.bundle}
