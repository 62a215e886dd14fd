"""Compliance of what runs: by one flow, by several, and of a whole environment."""

from dataclasses import replace
from uuid import UUID

import pytest

from domain.environments.compliance import (
    MAX_REASONS,
    ArtifactCompliance,
    ComplianceState,
    Judgement,
    PolicyFindings,
    Reason,
    ReasonCode,
    artifact_compliance,
    environment_compliance,
    judge,
    with_policies,
    worst,
)
from domain.facts.evaluation import Asked, LatestResult
from domain.facts.requirements import RequirementSet
from tests.domain.facts.evidence import APP, DIGEST, OTHER, named, newest, template, types

GOOD, BAD, UNKNOWN = ComplianceState.COMPLIANT, ComplianceState.NON_COMPLIANT, ComplianceState.UNKNOWN
FLOW, TRAIL = UUID(int=1), UUID(int=2)
JUNIT = types("junit")


def judged(asked: Asked, *latest: LatestResult) -> Judgement:
    return judge(asked, latest, APP, flow_id=FLOW, trail_id=TRAIL)


def reasons(asked: Asked, *latest: LatestResult) -> list[tuple[ReasonCode, str]]:
    return [(one.code, one.message) for one in judged(asked, *latest).reasons]


@pytest.mark.parametrize(
    ("states", "found"),
    [([], UNKNOWN), ([GOOD], GOOD), ([GOOD, UNKNOWN], UNKNOWN), ([GOOD, UNKNOWN, BAD], BAD), ([UNKNOWN, BAD], BAD)],
)
def test_the_worst_state_wins(states: list[ComplianceState], found: ComplianceState) -> None:
    assert worst(states) is worst(reversed(states)) is found


@pytest.mark.parametrize(
    ("asked", "latest", "state"),
    [
        (JUNIT, [newest("junit")], GOOD),
        (JUNIT, [newest("junit", digest=DIGEST)], GOOD),
        (JUNIT, [newest("junit", digest=OTHER)], BAD),
        (JUNIT, [newest("junit", "FAILED")], BAD),
        (JUNIT, [newest("junit", "PENDING")], BAD),
        (JUNIT, [], BAD),
        (JUNIT, [newest("junit"), newest("snyk", "FAILED")], GOOD),
        (types(), [], UNKNOWN),
        (types(), [newest("junit")], UNKNOWN),
        (types(), [newest("snyk", "FAILED")], BAD),
        (types("junit", approval=True), [newest("junit")], BAD),
        (template(app=[named("unit")]), [newest("junit", name="unit")], GOOD),
        (template(other=[named("unit")]), [], UNKNOWN),
        (template(named("unit", condition='artifact.name == "other"')), [], UNKNOWN),
        (replace(JUNIT, requirements=RequirementSet(problem="broken")), [newest("junit")], BAD),
    ],
)
def test_one_flow_judges_by_what_it_requires(asked: Asked, latest: list[LatestResult], state: ComplianceState) -> None:
    found = judged(asked, *latest)
    assert (found.state, found.flow_id, found.trail_id) == (state, FLOW, TRAIL)
    assert bool(found.reasons) is (state is not GOOD)


def test_a_person_and_a_program_learn_why() -> None:
    failed = newest("snyk", "FAILED", name="scan", minute=3)
    found = judged(types("junit", "snyk"), failed)
    assert found.reasons == (
        Reason(ReasonCode.ATTESTATION_FAILED, "attestation snyk failed", "snyk", "scan", UUID(int=3), FLOW, TRAIL),
        Reason(ReasonCode.ATTESTATION_MISSING, "attestation junit is missing", "junit", None, None, FLOW, TRAIL),
    )


@pytest.mark.parametrize(
    ("asked", "latest", "code", "message"),
    [
        (types(), [], "NOTHING_REQUIRED", "the flow payments requires no attestations of it"),
        (JUNIT, [newest("junit", "PENDING")], "ATTESTATION_PENDING", "attestation junit is pending"),
        (types(), [newest("a", "FAILED")], "ATTESTATION_FAILED", "attestation a failed, although it is not required"),
        (types(approval=True), [], "APPROVAL_MISSING", "an approval is required and none was granted"),
        (replace(JUNIT, requirements=RequirementSet(problem="broken")), [], "REQUIREMENTS_UNREADABLE", "broken"),
        (
            template(named("unit", "junit")),
            [newest("junit", name="unit"), newest("x", name="unit", identity="other")],
            "ATTESTATION_MISSING",
            "attestation unit is missing, and its name has one of another type",
        ),
    ],
)
def test_every_reason_has_its_words(asked: Asked, latest: list[LatestResult], code: str, message: str) -> None:
    assert reasons(asked, *latest) == [(code, message)]


def test_a_condition_that_cannot_be_read_is_told() -> None:
    [missing, problem] = reasons(template(named("unit", condition="nonsense(")))
    assert missing[0] is ReasonCode.ATTESTATION_MISSING
    assert problem[0] is ReasonCode.REQUIREMENTS_UNREADABLE
    assert "unit" in problem[1]


def test_reasons_end_somewhere() -> None:
    asked = types(*(f"type-{n}" for n in range(MAX_REASONS + 5)))
    found = judged(asked)
    assert len(found.reasons) == MAX_REASONS
    assert len(artifact_compliance(DIGEST, [found, replace(found, reasons=found.reasons[:1])]).reasons) == MAX_REASONS


def of_flow(number: int, state: ComplianceState) -> Judgement:
    reason = Reason(ReasonCode.ATTESTATION_MISSING, f"reason {number}")
    return Judgement(state, () if state is GOOD else (reason,), UUID(int=number), UUID(int=number))


@pytest.mark.parametrize(
    ("states", "state", "decided_by", "told"),
    [
        ([UNKNOWN, GOOD], GOOD, 1, []),
        ([GOOD, UNKNOWN], GOOD, 0, []),
        ([UNKNOWN, BAD], BAD, 1, ["reason 1"]),
        ([GOOD, BAD], BAD, 1, ["reason 1"]),
        ([BAD, GOOD, BAD], BAD, 0, ["reason 0", "reason 2"]),
        ([UNKNOWN, UNKNOWN], UNKNOWN, 0, ["reason 0", "reason 1"]),
    ],
)
def test_of_several_flows_the_worst_counts_and_one_that_requires_nothing_does_not(
    states: list[ComplianceState], state: ComplianceState, decided_by: int, told: list[str]
) -> None:
    found = artifact_compliance(DIGEST, [of_flow(number, one) for number, one in enumerate(states)])
    assert (found.state, found.flow_id, found.trail_id) == (state, UUID(int=decided_by), UUID(int=decided_by))
    assert [one.message for one in found.reasons] == told


def test_nothing_is_known_of_what_nobody_reported() -> None:
    found = artifact_compliance(DIGEST, [])
    assert (found.state, found.flow_id, found.trail_id) == (UNKNOWN, None, None)
    assert [one.code for one in found.reasons] == [ReasonCode.NOT_REPORTED]


def test_a_caller_without_access_learns_the_state_alone() -> None:
    hidden = [judged(JUNIT).out_of_scope(), judged(types("secret")).out_of_scope()]
    found = artifact_compliance(DIGEST, hidden)
    assert (found.state, found.flow_id, found.trail_id) == (BAD, None, None)
    [reason] = found.reasons
    assert reason == Reason(ReasonCode.OUT_OF_SCOPE, "a flow outside the scopes of the key decides")
    assert judged(JUNIT, newest("junit")).out_of_scope().reasons == ()


POLICY = UUID(int=3)


def reason(code: str, number: int = 1, policy: UUID | None = None) -> Reason:
    return Reason(ReasonCode(code), f"{code} {number}", flow_id=FLOW, trail_id=TRAIL, policy_id=policy)


def by_flows(state: ComplianceState, *codes: str) -> ArtifactCompliance:
    return ArtifactCompliance(DIGEST, state, tuple(map(reason, codes)), UUID(int=8), UUID(int=9))


@pytest.mark.parametrize(
    ("flows", "lacking", "state", "told"),
    [
        (by_flows(GOOD), [], GOOD, []),
        (by_flows(GOOD), ["APPROVAL_MISSING"], BAD, ["APPROVAL_MISSING"]),
        (by_flows(BAD, "ATTESTATION_FAILED"), [], BAD, ["ATTESTATION_FAILED"]),
        (by_flows(BAD, "OUT_OF_SCOPE"), ["SIGNATURE_MISSING"], BAD, ["OUT_OF_SCOPE", "SIGNATURE_MISSING"]),
        (by_flows(UNKNOWN, "NOTHING_REQUIRED"), [], GOOD, []),
        (by_flows(UNKNOWN, "OUT_OF_SCOPE"), [], GOOD, []),
        (by_flows(UNKNOWN, "NOTHING_REQUIRED"), ["APPROVAL_MISSING"], BAD, ["APPROVAL_MISSING"]),
        (by_flows(UNKNOWN, "OUT_OF_SCOPE"), ["APPROVAL_MISSING"], BAD, ["APPROVAL_MISSING"]),
        (by_flows(UNKNOWN, "NOT_REPORTED"), [], UNKNOWN, ["NOT_REPORTED"]),
        (by_flows(UNKNOWN, "NOT_REPORTED"), ["PROVENANCE_MISSING"], BAD, ["NOT_REPORTED", "PROVENANCE_MISSING"]),
    ],
)
def test_policies_count_beside_flows(
    flows: ArtifactCompliance, lacking: list[str], state: ComplianceState, told: list[str]
) -> None:
    found = with_policies(flows, [reason(code, policy=POLICY) for code in lacking])
    assert (found.state, [one.code for one in found.reasons]) == (state, told)
    decided_by_policy = flows.state is not BAD and state is BAD
    assert (found.flow_id, found.trail_id) == ((FLOW, TRAIL) if decided_by_policy else (flows.flow_id, flows.trail_id))


def test_policies_apply_to_what_runs_under_a_name() -> None:
    findings = PolicyFindings([], {("api", DIGEST): [reason("APPROVAL_MISSING")]})
    assert findings.applied_to(("api", DIGEST), by_flows(GOOD)).state is BAD
    assert findings.applied_to(("other", DIGEST), by_flows(GOOD)) == by_flows(GOOD)


@pytest.mark.parametrize(
    ("of_flows", "of_policies", "told"), [(20, 20, (10, 10)), (20, 3, (17, 3)), (3, 20, (3, 17)), (2, 2, (2, 2))]
)
def test_many_reasons_of_flows_leave_those_of_policies(of_flows: int, of_policies: int, told: tuple[int, int]) -> None:
    reasons = tuple(reason("ATTESTATION_MISSING", number) for number in range(of_flows))
    lacking = [reason("ATTESTATION_MISSING", number, POLICY) for number in range(of_policies)]
    found = with_policies(replace(by_flows(BAD), reasons=reasons), lacking).reasons
    named = [one.policy_id for one in found]
    assert (named.count(None), named.count(POLICY)) == told


def test_what_is_out_of_scope_is_told_with_the_policy_alone() -> None:
    hidden = reason("ATTESTATION_MISSING", policy=POLICY).out_of_scope()
    message = "a flow outside the scopes of the key decides"
    assert hidden == Reason(ReasonCode.OUT_OF_SCOPE, message, policy_id=POLICY)


@pytest.mark.parametrize(
    ("running", "state", "told"),
    [
        ([], UNKNOWN, ["nothing is known to run here"]),
        ([GOOD, GOOD], GOOD, []),
        ([GOOD, UNKNOWN], UNKNOWN, ["the compliance of 1 of 2 running artifacts is unknown"]),
        (
            [GOOD, BAD, UNKNOWN],
            BAD,
            ["1 of 3 running artifacts are not compliant", "the compliance of 1 of 3 running artifacts is unknown"],
        ),
    ],
)
def test_an_environment_is_as_good_as_what_runs_there(
    running: list[ComplianceState], state: ComplianceState, told: list[str]
) -> None:
    found = environment_compliance(FLOW, running)
    assert (found.environment_id, found.state) == (FLOW, state)
    assert [one.message for one in found.reasons] == told
    assert sum(found.counts.values()) == len(running)
