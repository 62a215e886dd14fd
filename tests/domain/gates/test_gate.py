"""The decision: the allow-list first, then drift and unknown artifacts beside the policies, then the default."""

from dataclasses import fields
from typing import Any
from uuid import UUID

import pytest

from domain.environments.allow_list import AllowListEntry
from domain.environments.compliance import ReasonCode
from domain.gates.evaluation import Evidence
from domain.gates.gate import OF_CONDITION, GateDecision, GateOutcome, Known, Place, decide
from domain.gates.remedies import remedy
from domain.gates.verdicts import reason_to_json
from tests.domain.facts.evidence import DIGEST, NOON, newest
from tests.domain.gates.knowledge import PRODUCTION, known, policy, unreadable, wants

ALLOWED, BLOCKED = GateOutcome.ALLOWED, GateOutcome.BLOCKED
JUNIT, LINT = policy(wants("junit")), policy(wants("lint"))
OF_BOTH = [known(newest("junit"), newest("lint"))]
HERE, DRIFTED = Place(PRODUCTION, 1, "production", blocks=False), Place(PRODUCTION, 1, "production", blocks=True)


def an_entry() -> AllowListEntry:
    given: dict[str, Any] = {
        "environment_id": PRODUCTION,
        "digest": DIGEST,
        "reason": "incident 4711",
        "created_at": NOON,
    }
    every: dict[str, Any] = {one.name: given.get(one.name) for one in fields(AllowListEntry)}
    return AllowListEntry(**{**every, "id": UUID(int=5)})


def decided(
    evidence: list[Evidence],
    *policies: Any,
    place: Place | None = HERE,
    default: GateOutcome = ALLOWED,
    **given: Any,
) -> GateDecision:
    return decide(Known(DIGEST, place, given.get("entry"), evidence, policies, default))


def codes(decision: GateDecision) -> list[str]:
    assert (decision.outcome is BLOCKED) == bool(decision.reasons)
    return [reason.code.value for reason in decision.reasons]


@pytest.mark.parametrize("place", [HERE, DRIFTED])
@pytest.mark.parametrize("evidence", [[], [known()]])
def test_the_allow_list_comes_before_everything_else(place: Place, evidence: list[Evidence]) -> None:
    decision = decided(evidence, JUNIT, unreadable(), place=place, default=BLOCKED, entry=an_entry())
    assert (codes(decision), decision.results) == ([], ())
    assert decision.message == "the allow-list lets it through: incident 4711"


def test_every_policy_has_to_be_fulfilled() -> None:
    assert codes(decided(OF_BOTH, JUNIT, LINT)) == []
    decision = decided([known(newest("junit"))], JUNIT, LINT)
    assert codes(decision) == ["ATTESTATION_MISSING"]
    assert [one.outcome.value for one in decision.results] == ["PASSED", "FAILED"]


def test_all_reasons_of_all_policies_are_told() -> None:
    decision = decided([known()], JUNIT, LINT, unreadable(), place=DRIFTED)
    assert codes(decision) == [
        "ENVIRONMENT_DRIFTED",
        "ATTESTATION_MISSING",
        "ATTESTATION_MISSING",
        "POLICY_UNREADABLE",
    ]
    assert decision.message.split("; ")[0] == "production drifted from its baseline, which blocks deployments to it"


def test_drift_closes_the_gate_also_without_a_policy() -> None:
    assert codes(decided(OF_BOTH, place=DRIFTED)) == ["ENVIRONMENT_DRIFTED"]


@pytest.mark.parametrize("policies", [(), (policy(),), (JUNIT,)])
def test_an_artifact_that_nobody_reported_is_blocked(policies: tuple[Any, ...]) -> None:
    assert codes(decided([], *policies)) == ["NOT_REPORTED"]


def test_without_a_policy_the_default_decides() -> None:
    allowed, blocked = decided(OF_BOTH), decided(OF_BOTH, default=BLOCKED)
    assert (codes(allowed), codes(blocked)) == ([], ["NO_POLICY"])
    assert allowed.message == "no policy applies, and the default is ALLOWED"
    assert blocked.message == "no policy applies, and the default is BLOCKED"


def test_the_default_does_not_matter_where_a_policy_applies() -> None:
    assert decided(OF_BOTH, JUNIT, default=BLOCKED).outcome is ALLOWED
    assert decided([known()], JUNIT, default=ALLOWED).outcome is BLOCKED


def test_without_an_environment_policies_decide_alone() -> None:
    assert decided(OF_BOTH, JUNIT, place=None).outcome is ALLOWED
    assert decided([known()], JUNIT, place=None).outcome is BLOCKED


def test_the_same_message_is_told_once() -> None:
    assert decided([known()], JUNIT, JUNIT).message == "policy release: attestation junit is missing"


def test_what_blocks_can_be_mended() -> None:
    reasons = decided([known()], JUNIT, unreadable(), place=DRIFTED, default=BLOCKED).reasons
    assert all(remedy(reason_to_json(one)) for one in reasons)
    missing = next(one for one in reasons if one.code is ReasonCode.ATTESTATION_MISSING)
    assert remedy(reason_to_json(missing)) == (
        f"Record the attestation junit with the status PASSED on trail {missing.trail_id}."
    )


def test_conditions_make_a_question_larger() -> None:
    waived = policy(wants("junit", "true", exceptions=("true", "false")))

    def size(asked: Any, *evidence: Evidence) -> int:
        return Known(DIGEST, HERE, None, evidence, (asked,), ALLOWED).size

    assert (size(JUNIT, known()), size(JUNIT, known(newest("junit"))), size(JUNIT, known(), known())) == (1, 2, 2)
    assert size(waived, known()) == 1 + 3 * OF_CONDITION
