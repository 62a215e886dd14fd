"""Flags, types and files compile to one form, which is stored, and read again only if all of it can be read."""

from typing import Any

import pytest

from domain.errors import Invalid
from domain.facts.requirements import Requirement
from domain.gates.policies import PolicySettings
from domain.gates.rules import Check, Rule, RuleSet

YAML = """
artifacts:
  provenance: {required: true}
  trail-compliance: {required: true}
  signature: {required: true}
  approval: {required: true}
  security-scans: {required: true}
  attestations: [{type: junit}, {type: trivy}]
"""
FLAGS = PolicySettings(
    "all of it",
    enforce_provenance=True,
    enforce_approvals=True,
    enforce_trail_compliance=True,
    require_signature=True,
    block_failed_scans=True,
    required_types=("junit", "trivy"),
)


def test_flags_and_a_file_that_say_the_same_have_the_same_rules() -> None:
    written = PolicySettings("all of it", yaml=YAML).compiled()
    assert set(FLAGS.compiled().rules) == set(written.rules)
    assert len(written.rules) == 7


def test_what_is_said_twice_is_one_rule() -> None:
    assert FLAGS.changed({"yaml": YAML}).compiled() == FLAGS.compiled()
    assert len(PolicySettings("p", required_types=("a", "a")).compiled().rules) == 1


def test_a_file_adds_to_the_flags() -> None:
    settings = PolicySettings("p", required_types=("a",), yaml="artifacts: {attestations: [{type: b, if: 'true'}]}")
    assert settings.compiled().rules == (
        Rule(Check.ATTESTATION, Requirement("a")),
        Rule(Check.ATTESTATION, Requirement("b", None, "true")),
    )


def test_verified_provenance_takes_the_place_of_provenance() -> None:
    both = PolicySettings("p", enforce_provenance=True, verify_provenance=True)
    assert both.compiled().rules == (Rule(Check.VERIFIED_PROVENANCE),)


def test_bundles_are_rules() -> None:
    rules = PolicySettings("p", opa_bundles=("release", "licences")).compiled().rules
    assert [(one.check, one.bundle) for one in rules] == [(Check.OPA, "release"), (Check.OPA, "licences")]


def test_a_policy_that_demands_nothing_has_no_rules() -> None:
    assert PolicySettings("p", description="later", yaml="{}").compiled() == RuleSet()


def test_a_file_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(Invalid):
        PolicySettings("p", yaml="artifact: {}").compiled()


def test_what_is_stored_is_what_was_compiled() -> None:
    compiled = FLAGS.changed({"yaml": YAML, "opa_bundles": ("release",)}).compiled()
    assert RuleSet.from_json(compiled.to_json()) == compiled


STORED: dict[str, Any] = RuleSet((Rule(Check.ATTESTATION, Requirement("junit")),)).to_json()[0]
OPA: dict[str, Any] = RuleSet((Rule(Check.OPA, bundle="release"),)).to_json()[0]


@pytest.mark.parametrize(
    "stored",
    [
        None,
        7,
        "",
        "rules",
        {},
        {"rules": []},
        [None],
        ["rule"],
        [[]],
        [{}],
        [{**STORED, "check": "licence"}],
        [{**STORED, "type": None}],
        [{**STORED, "name": 7}],
        [{**STORED, "if": True}],
        [{**STORED, "mustPass": None}],
        [{**STORED, "exceptions": None}],
        [{**STORED, "exceptions": "true"}],
        [{**STORED, "exceptions": {"true": 1}}],
        [{**STORED, "exceptions": [True]}],
        [{**OPA, "bundle": None}],
        [STORED, {name: value for name, value in STORED.items() if name != "exceptions"}],
    ],
)
def test_rules_that_cannot_be_read_are_a_problem_and_never_fewer_rules(stored: Any) -> None:
    assert RuleSet.from_json(stored) == RuleSet(problem="the stored rules cannot be read")


def test_stored_rules_may_be_none() -> None:
    assert RuleSet.from_json([]) == RuleSet()
