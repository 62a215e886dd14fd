"""What policies demand of an artifact that runs although nobody reported it."""

from uuid import UUID

import pytest

from domain.environments.compliance import ReasonCode
from domain.facts.evaluation import Candidate
from domain.facts.requirements import Requirement
from domain.gates.evaluation import PolicyOutcome, PolicyVersion, evaluate_unreported
from domain.gates.rules import Check, Rule, RuleSet

STRAY = Candidate("stray", "sha256:" + "a" * 64)
BLOCKS_ALL = Rule(Check.ATTESTATION, Requirement("junit"))
OTHERS = [Rule(one) for one in (Check.APPROVAL, Check.TRAIL_COMPLIANCE, Check.SECURITY_SCANS)]


def told(*rules: Rule, problem: str | None = None) -> list[tuple[str, str]]:
    """The codes and messages of the reasons; the policy does not apply if there are none."""
    result = evaluate_unreported(PolicyVersion(UUID(int=1), 1, "strict", RuleSet(rules, problem)), STRAY)
    assert result.outcome is (PolicyOutcome.FAILED if result.reasons else PolicyOutcome.NOT_APPLICABLE)
    assert {(one.policy_id, one.flow_id, one.trail_id) for one in result.reasons} <= {(UUID(int=1), None, None)}
    return [(one.code.value, one.message) for one in result.reasons]


@pytest.mark.parametrize(
    ("check", "code", "message"),
    [
        (Check.PROVENANCE, "PROVENANCE_MISSING", "policy strict: no provenance is recorded for stray"),
        (Check.VERIFIED_PROVENANCE, "PROVENANCE_MISSING", "policy strict: no provenance is recorded for stray"),
        (Check.SIGNATURE, "SIGNATURE_MISSING", "policy strict: stray has no signature of a registered key"),
    ],
)
def test_it_has_no_provenance(check: Check, code: str, message: str) -> None:
    assert told(Rule(check)) == told(*OTHERS, Rule(check), BLOCKS_ALL) == [(code, message)]


def test_what_needs_a_trail_does_not_apply() -> None:
    assert told() == told(BLOCKS_ALL, *OTHERS) == []


def test_a_policy_that_cannot_be_read_applies_to_everything() -> None:
    [(code, message)] = told(problem="broken")
    assert (code, message) == ("POLICY_UNREADABLE", "policy strict cannot be read: broken")


@pytest.mark.parametrize(
    ("condition", "waived"),
    [
        ('artifact.name == "stray"', True),
        ('artifact.name == "other"', False),
        (f'artifact.fingerprint == "{STRAY.digest}"', True),
        ("exists(flow)", False),
        ("not exists(flow)", True),
        ('flow.name == "payments"', False),
        ('flow.tags.tier == "gold"', False),
    ],
)
def test_exceptions_hold_for_its_name_and_digest(condition: str, *, waived: bool) -> None:
    assert bool(told(Rule(Check.PROVENANCE, exceptions=(condition,)))) is not waived


def test_an_exception_that_cannot_be_evaluated_waives_nothing() -> None:
    [missing, problem] = told(Rule(Check.PROVENANCE, exceptions=("nonsense(",)))
    assert missing[0] == ReasonCode.PROVENANCE_MISSING
    assert (problem[0], "nonsense(" in problem[1]) == ("REQUIREMENTS_UNREADABLE", True)
