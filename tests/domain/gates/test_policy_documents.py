"""Policy files: what they demand, and every way in which one is refused, with the place."""

import json
from contextlib import suppress
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.facts.conditions import MAX_PATTERNS as PATTERNS_OF_ONE
from domain.facts.documents import MAX_CONDITION, MAX_NAME, MAX_PATTERNS, MAX_REQUIREMENTS
from domain.facts.requirements import ANY_TYPE, Requirement
from domain.facts.safe_yaml import MAX_BYTES, MAX_DEPTH, MAX_ITEMS
from domain.gates.policy_documents import FIELD, parse_policy_document
from domain.gates.rules import Check, Rule, RuleSet

SCHEMA = "_schema: https://kosli.com/schemas/policy/environment/v1\n"
FULL = """
_schema: https://kosli.com/schemas/policy/environment/v1
artifacts:
  provenance:
    required: true
    verified: true
    exceptions:
      - if: matches(artifact.name, "base/.*")
      - if: ${{ flow.tags.tier == "lab" }}
  trail-compliance: {required: true, exceptions: [{if: 'artifact.name == "legacy"'}]}
  signature: {required: true}
  approval: {required: true}
  security-scans: {required: true}
  attestations:
    - {type: junit}
    - {name: review, type: pull-request}
    - {name: ticket}
    - {name: "*", type: snyk, must_be_compliant: false}
    - name: pen-test
      type: custom:pen-test
      if: flow.tags.tier == "gold"
      exceptions: [{if: 'artifact.name == "docs"'}]
"""

KOSLI = """
_schema: https://docs.kosli.com/schemas/policy/v1
artifacts:
  provenance:
    required: true
    exceptions:
      - if: ${{ matches(artifact.name, "^datadog:.*") }}
  trail-compliance:
    required: true
    exceptions:
      - if: ${{ flow.name == "sandbox" }}
  attestations:
    - name: unit-test
      type: junit
    - type: pull_request
      if: ${{ flow.tags.risk-level in ["high", "medium"] and not exists(flow.tags.waived) }}
    - {name: coverage, type: "custom:coverage-metrics", must_be_compliant: false}
    - {name: sign-off, type: "*"}
"""
"""As Kosli's documentation writes them."""

PLAIN = """
_schema: anything
artifacts:
  provenance: {required: true}
  trail-compliance: {required: false}
  attestations:
    - {name: tests, type: JUNIT, if: 'flow.name == "payments"'}
"""
"""As OpenFactstore parsed them, and never applied."""


def refusal(text: str, *, strict: bool = False) -> str:
    with pytest.raises(Invalid) as refused:
        parse_policy_document(text, strict=strict)
    [detail] = refused.value.details
    assert detail.field == FIELD
    return detail.message


def attestation(kind: str, name: str | None = None, condition: str | None = None) -> Rule:
    return Rule(Check.ATTESTATION, Requirement(kind, name, condition))


def test_every_key_makes_a_rule() -> None:
    exceptions = ('matches(artifact.name, "base/.*")', '${{ flow.tags.tier == "lab" }}')
    assert parse_policy_document(FULL) == (
        Rule(Check.VERIFIED_PROVENANCE, exceptions=exceptions),
        Rule(Check.TRAIL_COMPLIANCE, exceptions=('artifact.name == "legacy"',)),
        Rule(Check.SIGNATURE),
        Rule(Check.APPROVAL),
        Rule(Check.SECURITY_SCANS),
        attestation("junit"),
        attestation("pull-request", "review"),
        attestation(ANY_TYPE, "ticket"),
        Rule(Check.ATTESTATION, Requirement("snyk"), must_pass=False),
        Rule(
            Check.ATTESTATION,
            Requirement("custom:pen-test", "pen-test", 'flow.tags.tier == "gold"'),
            exceptions=('artifact.name == "docs"',),
        ),
    )


def test_files_of_kosli_mean_the_same_in_both_dialects() -> None:
    rules = parse_policy_document(KOSLI, strict=True)
    assert rules == parse_policy_document(KOSLI)
    assert [one.check for one in rules] == [Check.PROVENANCE, Check.TRAIL_COMPLIANCE, *[Check.ATTESTATION] * 4]
    assert rules[3].requirement == Requirement(
        "pull_request",
        None,
        '${{ flow.tags.risk-level in ["high", "medium"] and not exists(flow.tags.waived) }}',
    )


def test_files_of_openfactstore_count() -> None:
    assert parse_policy_document(PLAIN) == (
        Rule(Check.PROVENANCE),
        attestation("JUNIT", "tests", 'flow.name == "payments"'),
    )


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "_schema: v7",
        "artifacts:",
        "artifacts: {provenance: , signature: {}, attestations: }",
        "artifacts: {provenance: {required: false, exceptions: [{if: 'true'}]}, approval: {required: }}",
    ],
)
def test_a_file_that_demands_nothing_has_no_rules(text: str) -> None:
    assert parse_policy_document(text) == ()


def test_verified_provenance_is_required_provenance() -> None:
    assert parse_policy_document("artifacts: {provenance: {verified: true}}") == (Rule(Check.VERIFIED_PROVENANCE),)


ENTRY = "artifacts: {attestations: [{type: ok}, %s]}"
AT = "artifacts.attestations[1]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the document must be a map"),
        ("# nothing", "the document must be a map"),
        ("[]", "the document must be a map"),
        ("just words", "the document must be a map"),
        ("_schema: 1", "_schema must be a string"),
        ("artifacts: []", "artifacts must be a map"),
        ("artifact: {}", "the document has the unknown key 'artifact'; it may have _schema, artifacts"),
        ("artifacts: {provenence: {}}", "artifacts has the unknown key 'provenence'"),
        ("artifacts: {trail_compliance: {required: true}}", "artifacts has the unknown key 'trail_compliance'"),
        ("artifacts: {provenance: true}", "artifacts.provenance must be a map"),
        ("artifacts: {provenance: {require: true}}", "artifacts.provenance has the unknown key 'require'"),
        ("artifacts: {signature: {verified: true}}", "artifacts.signature has the unknown key 'verified'"),
        ('artifacts: {provenance: {required: "true"}}', "artifacts.provenance.required must be true or false"),
        ("artifacts: {provenance: {required: 1}}", "artifacts.provenance.required must be true or false"),
        ("artifacts: {provenance: {verified: yes}}", "artifacts.provenance.verified must be true or false"),
        ("artifacts: {approval: {exceptions: {}}}", "artifacts.approval.exceptions must be a list"),
        ("artifacts: {approval: {exceptions: [x]}}", "artifacts.approval.exceptions[0] must be a map"),
        ("artifacts: {approval: {exceptions: [{}]}}", "artifacts.approval.exceptions[0] needs an if"),
        ("artifacts: {approval: {exceptions: [{if: }]}}", "artifacts.approval.exceptions[0] needs an if"),
        ("artifacts: {approval: {exceptions: [{when: x}]}}", "exceptions[0] has the unknown key 'when'"),
        ("artifacts: {approval: {exceptions: [{if: true}]}}", "exceptions[0].if must be a string; put it in quotes"),
        ("artifacts: {approval: {exceptions: [{if: owner}]}}", "exceptions[0].if cannot be read at character 1"),
        ("artifacts: {attestations: {}}", "artifacts.attestations must be a list"),
        (ENTRY % "x", f"{AT} must be a map"),
        (ENTRY % "{}", f"{AT} needs a type or a name"),
        (ENTRY % '{type: "*"}', f"{AT} needs a type or a name"),
        (ENTRY % '{type: "*", name: "*"}', f"{AT} needs a type or a name"),
        (ENTRY % '{name: "*"}', f"{AT} needs a type or a name"),
        (ENTRY % '{type: " "}', f"{AT}.type must not be blank"),
        (ENTRY % "{type: 7}", f"{AT}.type must be a string; put it in quotes"),
        (ENTRY % '{name: "", type: a}', f"{AT}.name must not be blank"),
        (ENTRY % "{name: [a], type: a}", f"{AT}.name must be a string"),
        (ENTRY % f"{{name: {'n' * (MAX_NAME + 1)}}}", f"{AT}.name must have at most {MAX_NAME} characters"),
        (ENTRY % "{type: a, must-be-compliant: false}", f"{AT} has the unknown key 'must-be-compliant'"),
        (ENTRY % "{type: a, for_control: c}", f"{AT} has the unknown key 'for_control'"),
        (ENTRY % '{type: a, must_be_compliant: "no"}', f"{AT}.must_be_compliant must be true or false"),
        (ENTRY % "{type: a, if: 1}", f"{AT}.if must be a string; put it in quotes"),
        (ENTRY % '{type: a, if: ""}', f"{AT}.if ends too early"),
        (ENTRY % '{type: a, if: "flow.owner == 1"}', f"{AT}.if cannot be read at character"),
        (ENTRY % "{type: a, if: 'matches(flow.name, \"(\")'}", f"{AT}.if has a pattern"),
        (ENTRY % f"{{type: a, if: '{'x' * (MAX_CONDITION + 1)}'}}", f"{AT}.if must have at most {MAX_CONDITION}"),
        ("a: &a [x, x]\nb: [*a, *a]", "line 1: anchors and aliases are not supported"),
        ("artifacts: !!python/object:os.system {}", "line 1: tags are not supported"),
        ("artifacts: {<<: {}}", "line 1: merge keys are not supported"),
        ("artifacts: {}\nartifacts: {}", "line 2: the key 'artifacts' appears twice"),
        ("artifacts: {}\n---\nartifacts: {}", "more than one document"),
        ("artifacts: {", "line 2"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), f"line 1: nests more than {MAX_DEPTH} levels"),
        ("[" * 30_000, f"line 1: nests more than {MAX_DEPTH} levels"),
        ("#" * (MAX_BYTES + 1), f"has more than {MAX_BYTES} bytes"),
        (f"artifacts: {{attestations: [{'x,' * (MAX_ITEMS + 1)}]}}", f"more than {MAX_ITEMS} entries in one list"),
        ("artifacts: '\0'", "contains a NUL character"),
    ],
)
def test_what_is_refused_names_its_place(text: str, message: str) -> None:
    assert message in refusal(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("artifacts: {}", "_schema must be the address of version 1, which ends with /v1"),
        ("_schema: https://kosli.com/policy/v2", "_schema must be the address of version 1"),
        (SCHEMA + "artifacts: {signature: {required: true}}", "artifacts has the unknown key 'signature'"),
        (SCHEMA + "artifacts: {approval: {required: true}}", "artifacts has the unknown key 'approval'"),
        (SCHEMA + "artifacts: {security-scans: {}}", "artifacts has the unknown key 'security-scans'"),
        (SCHEMA + "artifacts: {provenance: {verified: true}}", "artifacts.provenance has the unknown key 'verified'"),
        (SCHEMA + "artifacts: {attestations: [{name: a}]}", "artifacts.attestations[0].type must not be blank"),
        (SCHEMA + "artifacts: {attestations: [{type: trivy}]}", "artifacts.attestations[0].type must be one of"),
        (SCHEMA + 'artifacts: {attestations: [{type: "custom:"}]}', "attestations[0].type must be one of"),
        (SCHEMA + "artifacts: {attestations: [{type: snyk, exceptions: []}]}", "has the unknown key 'exceptions'"),
    ],
)
def test_the_dialect_of_kosli_knows_no_more_than_kosli(text: str, message: str) -> None:
    assert message in refusal(text, strict=True)


def test_kosli_has_two_spellings_of_one_type() -> None:
    text = SCHEMA + "artifacts: {attestations: [{type: pull-request}]}"
    assert parse_policy_document(text, strict=True) == (attestation("pull_request"),)


def several(conditions: list[str]) -> str:
    return json.dumps({"artifacts": {"signature": {"exceptions": [{"if": one} for one in conditions]}}})


def test_patterns_of_all_conditions_count_together() -> None:
    full = " or ".join(['matches(artifact.name, "a")'] * PATTERNS_OF_ONE)
    within = [full] * (MAX_PATTERNS // PATTERNS_OF_ONE)
    parse_policy_document(several(within))
    message = refusal(several([*within, 'matches(artifact.name, "a")']))
    assert f"exceptions[{len(within)}].if goes beyond the {MAX_PATTERNS} patterns that a policy may have" in message


def test_exceptions_of_all_rules_count_together() -> None:
    half = [{"if": "true"}] * (MAX_REQUIREMENTS // 2)
    sections = {name: {"exceptions": half} for name in ("provenance", "signature")}
    parse_policy_document(json.dumps({"artifacts": sections}))
    sections["approval"] = {"exceptions": [{"if": "true"}]}
    message = refusal(json.dumps({"artifacts": sections}))
    assert f"goes beyond the {MAX_REQUIREMENTS} exceptions that a policy may have" in message


def test_a_document_costs_no_more_than_its_length() -> None:
    """An anchors bomb is refused before it grows."""
    levels = "\n".join(f"l{n}: &l{n} [*l{n - 1}, *l{n - 1}, *l{n - 1}]" for n in range(1, 30))
    began = process_time()
    assert "anchors" in refusal(f"l0: &l0 x\n{levels}")
    refused = process_time() - began
    began = process_time()
    parse_policy_document(FULL)
    assert refused < 20 * (process_time() - began)


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
keys = st.sampled_from(["_schema", "artifacts", "provenance", "attestations", "exceptions", "required", "type", "if"])
documents = st.recursive(scalars, lambda below: st.lists(below, max_size=3) | st.dictionaries(keys, below, max_size=4))


@given(documents, st.booleans())
def test_anything_else_is_read_or_refused(document: object, strict: bool) -> None:
    with suppress(Invalid):
        rules = parse_policy_document(json.dumps(document), strict=strict)
        assert RuleSet.from_json(RuleSet(rules).to_json()) == RuleSet(rules)
