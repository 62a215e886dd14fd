"""What the evaluator says of an artifact, as a table of cases, and what holds for every one."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from time import process_time
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.facts.approvals import Resolution
from domain.facts.attestations import ResultStatus
from domain.facts.evaluation import LatestResult
from domain.facts.requirements import Requirement
from domain.gates.evaluation import (
    MAX_REASONS,
    Evidence,
    Opinion,
    PolicyOutcome,
    PolicyVersion,
    ProvenanceState,
    ScanFinding,
    bundles,
    evaluate,
    needed,
)
from domain.gates.rules import Check, Rule, RuleSet
from tests.domain.facts.evidence import APP, DIGEST, OTHER, newest, template, types
from tests.domain.gates.knowledge import (
    ORDERS,
    PAYMENTS,
    POLICY,
    PRODUCTION,
    STAGING,
    approval,
    known,
    policy,
    unread_template,
    unreadable,
    wants,
)

PASSED, NOT_APPLICABLE = "PASSED", "NOT_APPLICABLE"
REJECTED = Resolution.REJECTED
PROVENANCE, VERIFIED, SIGNATURE = Check.PROVENANCE, Check.VERIFIED_PROVENANCE, Check.SIGNATURE
GOLD, BRONZE = 'flow.tags.tier == "gold"', 'flow.tags.tier == "bronze"'
BROKEN = "flow.tags.tier > 3"
"""A condition that can be compiled, and that fails for a text."""
SCAN = newest("trivy", "FAILED", minute=7)
OF_BACKEND = newest("trivy", "FAILED", minute=7, slot="backend")
BREACHED = {SCAN.attestation_id: ScanFinding("trivy", ("3 critical, at most 0",))}
ELSEWHERE = {"flow": ORDERS}
GRANTED, LIMITED = (approval(),), (approval(environment=PRODUCTION),)
ROLES = {"asked": replace(types(), approver_roles=("security", "ops"))}
LATER_REJECTED = (approval(), approval(REJECTED, minute=1))
LATER_APPROVED = (approval(REJECTED), approval(minute=1))

gold = template()


def tagged(*latest: LatestResult, **fields: Any) -> Evidence:
    return known(*latest, asked=gold, **fields)


def evidence(**fields: Any) -> list[Evidence]:
    return [known(**fields)]


def provenance(state: ProvenanceState) -> list[Evidence]:
    return [known(provenance=state)]


JUNIT = wants("junit")
NONE, UNVERIFIED, REVOKED, SIGNED = ProvenanceState

ATTESTATIONS = {
    "missing": (JUNIT, [known()], "ATTESTATION_MISSING"),
    "passed": (JUNIT, [known(newest("junit"))], PASSED),
    "failed": (JUNIT, [known(newest("junit", "FAILED"))], "ATTESTATION_FAILED"),
    "pending": (JUNIT, [known(newest("junit", "PENDING"))], "ATTESTATION_PENDING"),
    "another type": (JUNIT, [known(newest("JUNIT"))], "ATTESTATION_MISSING"),
    "of this digest": (JUNIT, [known(newest("junit", digest=DIGEST))], PASSED),
    "of another digest": (JUNIT, [known(newest("junit", digest=OTHER))], "ATTESTATION_MISSING"),
    "of this name": (JUNIT, [known(newest("junit", slot="app"))], PASSED),
    "of another name": (JUNIT, [known(newest("junit", slot="db"))], "ATTESTATION_MISSING"),
    "a failure of another artifact": (JUNIT, [known(newest("junit", "FAILED", digest=OTHER), newest("junit"))], PASSED),
    "two of a type, one failed": (
        JUNIT,
        [known(newest("junit", name="a"), newest("junit", "FAILED", name="b"))],
        "ATTESTATION_FAILED",
    ),
    "a name of any type": (wants("*", name="tests"), [known(newest("junit", name="tests"))], PASSED),
    "a name of another type": (
        wants("junit", name="tests"),
        [known(newest("lint", name="tests"))],
        "ATTESTATION_MISSING",
    ),
    "any result will do": (wants("junit", must_pass=False), [known(newest("junit", "FAILED"))], PASSED),
    "no result will not do": (wants("junit", must_pass=False), [known()], "ATTESTATION_MISSING"),
    "what fails and is not asked for": (JUNIT, [known(newest("junit"), newest("lint", "FAILED"))], PASSED),
}
CONDITIONS = {
    "if it holds": (wants("junit", GOLD), [tagged()], "ATTESTATION_MISSING"),
    "if it holds and passed": (wants("junit", GOLD), [tagged(newest("junit"))], PASSED),
    "if it does not hold": (wants("junit", BRONZE), [tagged()], NOT_APPLICABLE),
    "if it does not hold and failed": (wants("junit", BRONZE), [tagged(newest("junit", "FAILED"))], NOT_APPLICABLE),
    "a broken if applies": (
        wants("junit", BROKEN),
        [tagged()],
        "ATTESTATION_MISSING REQUIREMENTS_UNREADABLE",
    ),
    "a broken if does not block what passed": (wants("junit", BROKEN), [tagged(newest("junit"))], PASSED),
    "an if that is no text applies": (
        wants("junit", "owner"),
        [tagged()],
        "ATTESTATION_MISSING REQUIREMENTS_UNREADABLE",
    ),
    "an exception holds": (wants("junit", exceptions=(GOLD,)), [tagged(newest("junit", "FAILED"))], NOT_APPLICABLE),
    "no exception holds": (wants("junit", exceptions=(BRONZE,)), [tagged()], "ATTESTATION_MISSING"),
    "one of two exceptions holds": (wants("junit", exceptions=(BRONZE, GOLD)), [tagged()], NOT_APPLICABLE),
    "a broken exception never waives": (
        wants("junit", exceptions=(BROKEN,)),
        [tagged()],
        "ATTESTATION_MISSING REQUIREMENTS_UNREADABLE",
    ),
    "a broken exception beside one that holds": (
        wants("junit", exceptions=(BROKEN, GOLD)),
        [tagged()],
        NOT_APPLICABLE,
    ),
    "a broken exception of what passed": (wants("junit", exceptions=(BROKEN,)), [tagged(newest("junit"))], PASSED),
    "both broken": (
        wants("junit", BROKEN, exceptions=(BROKEN,)),
        [tagged()],
        "ATTESTATION_MISSING REQUIREMENTS_UNREADABLE REQUIREMENTS_UNREADABLE",
    ),
    "an exception of another check": (Rule(SIGNATURE, exceptions=(GOLD,)), [tagged()], NOT_APPLICABLE),
    "an exception by name": (
        wants("junit", exceptions=('matches(artifact.name, "a.*")',)),
        [known()],
        NOT_APPLICABLE,
    ),
    "an exception by digest": (
        wants("junit", exceptions=(f'artifact.fingerprint == "{OTHER}"',)),
        [known()],
        "ATTESTATION_MISSING",
    ),
}
SIGNATURES = {
    f"{check.value} of {state.value.lower()}": (Rule(check), provenance(state), expected)
    for check, results in {
        PROVENANCE: ("PROVENANCE_MISSING", PASSED, PASSED, PASSED),
        VERIFIED: ("PROVENANCE_MISSING", "PROVENANCE_UNVERIFIED", "PROVENANCE_UNVERIFIED", PASSED),
        SIGNATURE: ("SIGNATURE_MISSING", "SIGNATURE_MISSING", "SIGNATURE_MISSING", PASSED),
    }.items()
    for state, expected in zip((NONE, UNVERIFIED, REVOKED, SIGNED), results, strict=True)
}
APPROVED = Rule(Check.APPROVAL)
APPROVALS = {
    "no approval": (APPROVED, [known()], "APPROVAL_MISSING"),
    "an approval": (APPROVED, evidence(approvals=GRANTED), PASSED),
    "a rejection": (APPROVED, evidence(approvals=(approval(REJECTED),)), "APPROVAL_REJECTED"),
    "a later rejection": (APPROVED, evidence(approvals=LATER_REJECTED), "APPROVAL_REJECTED"),
    "a later approval": (APPROVED, evidence(approvals=LATER_APPROVED), PASSED),
    "of this digest": (APPROVED, evidence(approvals=(approval(digest=DIGEST),)), PASSED),
    "of another digest": (APPROVED, evidence(approvals=(approval(digest=OTHER),)), "APPROVAL_MISSING"),
    "a rejection of another digest": (
        APPROVED,
        evidence(approvals=(approval(), approval(REJECTED, minute=1, digest=OTHER))),
        PASSED,
    ),
    "for this environment": (APPROVED, evidence(approvals=LIMITED), PASSED),
    "for another environment": (APPROVED, evidence(approvals=(approval(environment=STAGING),)), "APPROVAL_MISSING"),
    "without the roles of the flow": (APPROVED, evidence(approvals=GRANTED, **ROLES), "APPROVAL_MISSING"),
    "with one role of two": (APPROVED, evidence(approvals=(approval(roles=("ops",)),), **ROLES), "APPROVAL_MISSING"),
    "with the roles of the flow": (
        APPROVED,
        evidence(approvals=(approval(roles=("Ops", "security")),), **ROLES),
        PASSED,
    ),
}
COMPLIANT = Rule(Check.TRAIL_COMPLIANCE)
BUILD = types("BUILD")
NEEDS_APPROVAL = types("BUILD", approval=True)
TRAILS = {
    "an empty trail": (COMPLIANT, [known()], "TRAIL_PENDING"),
    "an incomplete trail": (COMPLIANT, [known(newest("junit"), asked=BUILD)], "TRAIL_PENDING"),
    "a compliant trail": (COMPLIANT, [known(newest("BUILD"), asked=BUILD)], PASSED),
    "a failed trail": (COMPLIANT, [known(newest("BUILD"), newest("x", "FAILED"), asked=BUILD)], "TRAIL_NON_COMPLIANT"),
    "a failure of another artifact of the trail": (
        COMPLIANT,
        [known(newest("BUILD"), newest("x", "FAILED", digest=OTHER), asked=BUILD)],
        "TRAIL_NON_COMPLIANT",
    ),
    "an artifact of the template is missing": (
        COMPLIANT,
        [known(asked=template(app=[], db=[]), artifacts=(APP,))],
        "TRAIL_PENDING",
    ),
    "an unreadable template": (COMPLIANT, [known(newest("BUILD"), asked=unread_template())], "TRAIL_PENDING"),
    "the flow needs an approval": (COMPLIANT, [known(newest("BUILD"), asked=NEEDS_APPROVAL)], "APPROVAL_MISSING"),
    "the flow has its approval": (
        COMPLIANT,
        [known(newest("BUILD"), asked=NEEDS_APPROVAL, approvals=GRANTED)],
        PASSED,
    ),
    "the flow has it for this environment": (
        COMPLIANT,
        [known(newest("BUILD"), asked=NEEDS_APPROVAL, approvals=LIMITED)],
        PASSED,
    ),
    "the flow needs an approval and the trail is incomplete": (
        COMPLIANT,
        [known(asked=NEEDS_APPROVAL)],
        "APPROVAL_MISSING TRAIL_PENDING",
    ),
    "the flow needs an approval and the trail failed": (
        COMPLIANT,
        [known(newest("BUILD", "FAILED"), asked=NEEDS_APPROVAL)],
        "APPROVAL_MISSING TRAIL_NON_COMPLIANT",
    ),
    "an approval is missing here, which hides no failure from another flow": (
        COMPLIANT,
        [
            known(newest("BUILD", "FAILED"), asked=NEEDS_APPROVAL),
            known(newest("BUILD"), asked=BUILD, **ELSEWHERE),
        ],
        "APPROVAL_MISSING TRAIL_NON_COMPLIANT",
    ),
}
SCANS = Rule(Check.SECURITY_SCANS)
OPENED = {
    "no scan": (SCANS, [known()], PASSED),
    "a scan that breached": (SCANS, [known(SCAN, failed=BREACHED)], "SECURITY_SCAN_FAILED"),
    "a failed attestation that is no scan": (SCANS, [known(newest("junit", "FAILED"))], PASSED),
    "a breach that was overridden": (
        SCANS,
        [known(SCAN._replace(status=ResultStatus.PASSED), failed=BREACHED)],
        PASSED,
    ),
    "a breach of another digest": (SCANS, [known(SCAN._replace(digest=OTHER), failed=BREACHED)], PASSED),
    "a breach of another artifact by its name": (SCANS, [known(OF_BACKEND, failed=BREACHED)], PASSED),
}
BUNDLE = Rule(Check.OPA, bundle="licences")
OPINIONS = {
    "no active bundle": (BUNDLE, [known()], "OPA_UNAVAILABLE"),
    "a bundle of another name": (BUNDLE, evidence(opinions={"x": Opinion(allow=True)}), "OPA_UNAVAILABLE"),
    "allows": (BUNDLE, evidence(opinions={"licences": Opinion(allow=True)}), PASSED),
    "denies": (BUNDLE, evidence(opinions={"licences": Opinion(False, ("GPL", "AGPL"))}), "OPA_DENIED OPA_DENIED"),
    "denies without a reason": (BUNDLE, evidence(opinions={"licences": Opinion(allow=False)}), "OPA_DENIED"),
}
HERE, THERE = known(newest("junit")), known(newest("junit"), **ELSEWHERE)
FLOWS = {
    "satisfied in one of two": (JUNIT, [known(), THERE], PASSED),
    "failed in one of two": (JUNIT, [HERE, known(newest("junit", "FAILED"), **ELSEWHERE)], "ATTESTATION_FAILED"),
    "missing in both is said once": (JUNIT, [known(), known(**ELSEWHERE)], "ATTESTATION_MISSING"),
    "waived in one, missing in the other": (
        wants("junit", exceptions=('flow.name == "orders"',)),
        [known(), known(asked=types()), known(**ELSEWHERE)],
        "ATTESTATION_MISSING",
    ),
    "rejected in one, approved in the other": (
        APPROVED,
        [known(approvals=GRANTED), known(approvals=(approval(REJECTED),), **ELSEWHERE)],
        "APPROVAL_REJECTED",
    ),
    "denied in one, allowed in the other": (
        BUNDLE,
        [
            known(opinions={"licences": Opinion(allow=True)}),
            known(opinions={"licences": Opinion(allow=False)}, **ELSEWHERE),
        ],
        "OPA_DENIED",
    ),
    "compliant in one, incomplete in the other": (
        COMPLIANT,
        [known(newest("BUILD"), asked=BUILD), known(newest("junit"), asked=BUILD, **ELSEWHERE)],
        "TRAIL_PENDING",
    ),
    "compliant in one, not approved in the other": (
        COMPLIANT,
        [known(newest("BUILD"), asked=BUILD), known(newest("BUILD"), asked=NEEDS_APPROVAL, **ELSEWHERE)],
        "APPROVAL_MISSING",
    ),
    "allowed in one, not asked in the other": (
        BUNDLE,
        [known(opinions={"licences": Opinion(allow=True)}), known(**ELSEWHERE)],
        "OPA_UNAVAILABLE",
    ),
    "in no flow": (JUNIT, [], NOT_APPLICABLE),
}
TABLES = {
    "attestations": ATTESTATIONS,
    "conditions": CONDITIONS,
    "signatures": SIGNATURES,
    "approvals": APPROVALS,
    "trails": TRAILS,
    "scans": OPENED,
    "opinions": OPINIONS,
    "flows": FLOWS,
}
CASES = [pytest.param(*case, id=f"{table}: {name}") for table, cases in TABLES.items() for name, case in cases.items()]


def said(policy: PolicyVersion, found: Sequence[Evidence], environment: UUID | None = PRODUCTION) -> str:
    """The codes of its reasons, else its outcome."""
    result = evaluate(policy, found, environment)
    assert (result.outcome is PolicyOutcome.FAILED) == bool(result.reasons)
    return " ".join(reason.code for reason in result.reasons) or result.outcome.value


@pytest.mark.parametrize(("rule", "found", "expected"), CASES)
def test_the_table(rule: Rule, found: list[Evidence], expected: str) -> None:
    assert said(policy(rule), found) == expected


def test_an_approval_for_one_environment_says_nothing_of_all() -> None:
    assert said(policy(APPROVED), evidence(approvals=LIMITED), None) == "APPROVAL_MISSING"
    assert said(policy(APPROVED), evidence(approvals=GRANTED), None) == PASSED


def test_a_reason_names_the_policy_and_where_it_looked() -> None:
    [reason] = evaluate(policy(JUNIT), [known(newest("junit", "FAILED", minute=9))], None).reasons
    assert reason.message == "policy release: attestation junit failed"
    assert (reason.policy_id, reason.flow_id, reason.trail_id) == (POLICY, PAYMENTS, UUID(int=111))
    assert (reason.attestation_type, reason.attestation_id) == ("junit", UUID(int=9))


def test_a_deleted_key_is_named() -> None:
    [reason] = evaluate(policy(Rule(SIGNATURE)), provenance(REVOKED), None).reasons
    assert reason.message.endswith("app has no signature of a registered key: the key that signed was deleted")


def test_all_rules_that_are_not_fulfilled_are_told() -> None:
    rules = (wants("a"), wants("b"), Rule(PROVENANCE), APPROVED)
    found = [known(newest("a"))]
    assert said(policy(*rules), found) == "ATTESTATION_MISSING PROVENANCE_MISSING APPROVAL_MISSING"


def test_reasons_are_limited_and_what_fails_stays_failed() -> None:
    many = policy(*(wants(f"type {n}") for n in range(MAX_REASONS + 5)))
    result = evaluate(many, [known()], None)
    assert (result.outcome, len(result.reasons)) == (PolicyOutcome.FAILED, MAX_REASONS)


def test_what_is_missing_crowds_out_nothing_that_failed() -> None:
    many = policy(*(wants(f"type {n}") for n in range(MAX_REASONS)), JUNIT)
    result = evaluate(many, [known(newest("junit", "FAILED"))], None)
    assert result.reasons[0].code == "ATTESTATION_FAILED"


@pytest.mark.parametrize("found", [[], [known(newest("junit"))]])
def test_rules_that_cannot_be_read_block_whatever_is_known(found: list[Evidence]) -> None:
    assert said(unreadable(), found) == "POLICY_UNREADABLE"


def test_a_policy_of_some_flows_looks_at_no_other() -> None:
    limited = policy(JUNIT, flows=frozenset({PAYMENTS}))
    assert said(limited, [known(), THERE]) == "ATTESTATION_MISSING"
    assert said(limited, [HERE, known(newest("junit", "FAILED"), **ELSEWHERE)]) == PASSED
    assert said(limited, [THERE]) == NOT_APPLICABLE


def test_a_policy_without_rules_applies_to_nothing() -> None:
    assert said(policy(), [known()]) == NOT_APPLICABLE


def test_only_what_rules_look_at_is_needed() -> None:
    asked = [policy(JUNIT, BUNDLE), policy(APPROVED, BUNDLE), unreadable()]
    assert needed(asked) == {Check.ATTESTATION, Check.OPA, Check.APPROVAL}
    assert list(bundles(asked)) == ["licences"]


statuses = st.sampled_from(ResultStatus)
results = st.builds(
    lambda kind, name, status, minute, digest: newest(kind, status, name, minute=minute, digest=digest),
    st.sampled_from("AB"),
    st.sampled_from([None, "x", "y"]),
    statuses,
    st.integers(0, 9),
    st.sampled_from(["", DIGEST, OTHER]),
)
trails = st.builds(
    lambda latest, flow, state, approvals: known(*latest, flow=flow, provenance=state, approvals=approvals),
    st.lists(results, max_size=4, unique_by=lambda one: one.identity),
    st.sampled_from([PAYMENTS, ORDERS]),
    st.sampled_from(ProvenanceState),
    st.lists(st.builds(approval, st.sampled_from(Resolution), minute=st.integers(0, 3)), max_size=2, unique=True),
)
found = st.lists(trails, max_size=2, unique_by=lambda one: one.flow_id)
exceptions = st.lists(st.sampled_from(["true", "false", BROKEN, GOLD]), max_size=2).map(tuple)
demands = st.one_of(
    st.builds(
        lambda kind, name, condition, waived: Rule(
            Check.ATTESTATION, Requirement(kind, name, condition), exceptions=waived
        ),
        st.sampled_from("AB"),
        st.sampled_from([None, "x"]),
        st.sampled_from([None, "true", "false", BROKEN]),
        exceptions,
    ),
    st.builds(
        lambda check, waived: Rule(check, exceptions=waived),
        st.sampled_from([PROVENANCE, VERIFIED, SIGNATURE, Check.APPROVAL, Check.TRAIL_COMPLIANCE]),
        exceptions,
    ),
)
policies = st.lists(demands, min_size=1, max_size=4).map(lambda rules: policy(*rules))


@given(policies, found, st.randoms())
def test_the_order_of_what_is_known_does_not_matter(
    asked: PolicyVersion, known_of: list[Evidence], random: Random
) -> None:
    shuffled = [
        known(
            *random.sample(one.latest, len(one.latest)),
            flow=one.flow_id,
            provenance=one.provenance,
            approvals=random.sample(one.approvals, len(one.approvals)),
        )
        for one in random.sample(known_of, len(known_of))
    ]
    assert evaluate(asked, known_of, None).outcome == evaluate(asked, shuffled, None).outcome


@given(
    policies,
    st.lists(trails, min_size=1, max_size=2, unique_by=lambda one: one.flow_id),
    st.sampled_from("AB"),
    st.sampled_from([None, "x", "z"]),
)
def test_a_failure_never_lets_anything_through(
    asked: PolicyVersion, known_of: list[Evidence], kind: str, name: str | None
) -> None:
    first, *others = known_of
    failure = newest(kind, "FAILED", name, identity="one more", minute=20)
    worse = known(*first.latest, failure, flow=first.flow_id, provenance=first.provenance, approvals=first.approvals)
    if evaluate(asked, known_of, None).outcome is PolicyOutcome.FAILED:
        assert evaluate(asked, [worse, *others], None).outcome is PolicyOutcome.FAILED


@given(st.lists(demands, max_size=4).map(tuple))
def test_rules_are_read_as_they_were_written(rules: tuple[Rule, ...]) -> None:
    assert RuleSet.from_json(RuleSet(rules).to_json()) == RuleSet(rules)


def test_results_are_indexed_once_for_all_rules() -> None:
    """A rule looks at the results of its type alone: 100 rules cost little more for 5,000 other results."""
    asked = policy(*(wants(f"t{n}") for n in range(100)))
    few, many = known(newest("other", name="n")), known(*(newest("other", name=f"n{n}") for n in range(5_000)))
    evaluate(asked, [few], None)  # what is done once is not measured
    assert processor_time(asked, many) < 10 * processor_time(asked, few)


def processor_time(asked: PolicyVersion, evidence: Evidence) -> float:
    started = process_time()
    evaluate(asked, [evidence], None)
    return process_time() - started
