"""Templates in both dialects, and what neither lets through."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from time import process_time
from typing import Any
from uuid import UUID

import pytest
import re2
import yaml
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.facts.conditions import compiled
from domain.facts.documents import MAX_CONDITION, MAX_PATTERNS, MAX_PROGRAM, MAX_REQUIREMENTS
from domain.facts.flows import Flow
from domain.facts.requirements import ArtifactSlot, Requirement, RequirementSet, Template
from domain.facts.templates import FIELD, MAX_ARTIFACTS, parse_template, template_document, written_template

FULL = """
version: 1
trail:
  attestations:
    - {name: review, type: pull_request}
    - {name: ticket, type: jira, if: 'flow.tags.tier == "gold"'}
  artifacts:
    - name: backend
      attestations:
        - name: unit-tests
          type: junit
        - {name: scan, type: "*"}
    - name: frontend
"""


def asked(text: str, *, strict: bool = False) -> RequirementSet:
    return parse_template(text, strict=strict).requirements


def refusal(text: str, *, strict: bool = False) -> str:
    with pytest.raises(Invalid) as refused:
        parse_template(text, strict=strict)
    [detail] = refused.value.details
    assert detail.field == FIELD
    assert refused.value.message == f"{FIELD}: {detail.message}"
    return detail.message


def test_a_template_keeps_its_text_and_tells_what_it_asks_for() -> None:
    template = parse_template(FULL)
    assert template.text == FULL
    assert template.requirements == RequirementSet(
        (Requirement("pull_request", "review"), Requirement("jira", "ticket", 'flow.tags.tier == "gold"')),
        (
            ArtifactSlot("backend", (Requirement("junit", "unit-tests"), Requirement("*", "scan"))),
            ArtifactSlot("frontend"),
        ),
    )


@pytest.mark.parametrize(
    "text",
    ["version: 1", "{}", "trail:", "trail: {}", "trail: {attestations: , artifacts: }", "requiredAttestations: []"],
)
def test_an_empty_template_asks_for_nothing(text: str) -> None:
    assert asked(text) == RequirementSet()


def test_a_missing_type_is_any_type() -> None:
    assert asked("trail: {attestations: [{name: a}, {name: b, type: }]}").trail == (
        Requirement("*", "a"),
        Requirement("*", "b"),
    )


def test_artifacts_at_the_root_count_only_where_the_trail_has_none() -> None:
    assert asked("artifacts: [{name: image}]").artifacts == (ArtifactSlot("image"),)
    assert asked("trail: {artifacts: }\nartifacts: [{name: image}]").artifacts == (ArtifactSlot("image"),)
    both = "trail: {artifacts: [{name: inner}]}\nartifacts: [{name: outer}]"
    assert asked(both).artifacts == (ArtifactSlot("inner"),)
    assert asked("trail: {artifacts: []}\nartifacts: [{name: outer}]").artifacts == ()


def test_required_attestations_are_types_beside_the_names() -> None:
    text = "requiredAttestations: [BUILD, TEST, BUILD]\ntrail: {attestations: [{name: a, type: junit}]}"
    assert asked(text).trail == (Requirement("junit", "a"), Requirement("BUILD"), Requirement("TEST"))


def test_other_keys_are_ignored_so_that_hub_templates_are_templates() -> None:
    text = """
id: slsa-level-2
name: SLSA 2
description: Build provenance
framework: SLSA
version: "1.0"
tags: {team: payments}
trail:
  note: x
  attestations: [{name: build-provenance, type: build-provenance, description: y}]
  artifacts: [{name: image, colour: blue}]
"""
    assert asked(text).trail == (Requirement("build-provenance", "build-provenance"),)


def test_one_name_may_stand_in_several_levels() -> None:
    text = """
trail:
  attestations: [{name: scan, type: snyk}]
  artifacts: [{name: a, attestations: [{name: scan}]}, {name: scan, attestations: [{name: scan}]}]
"""
    assert len(asked(text).artifacts) == 2


ENTRY = "trail: {attestations: [{name: ok}, %s]}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the document must be a map"),
        ("# soon", "the document must be a map"),
        ("- a", "the document must be a map"),
        ("trial: {attestations: [{name: a}]}", "the document has none of the keys"),
        ("trail: [a]", "trail must be a map"),
        ("trail: ''", "trail must be a map"),
        ("trail: {attestations: {name: a}}", "trail.attestations must be a list"),
        ("trail: {attestations: ''}", "trail.attestations must be a list"),
        ("trail: {artifacts: x}", "trail.artifacts must be a list"),
        ("artifacts: {a: b}", "artifacts must be a list"),
        ("requiredAttestations: BUILD", "requiredAttestations must be a list"),
        ("requiredAttestations: [BUILD, {type: x}]", "requiredAttestations[1] must be a string"),
        ("requiredAttestations: [BUILD, ' ']", "requiredAttestations[1] must not be blank"),
        ("version: [1]", "version must be a number"),
        (ENTRY % "x", "trail.attestations[1] must be a map"),
        (ENTRY % "null", "trail.attestations[1] must be a map"),
        (ENTRY % "{type: junit}", "trail.attestations[1].name must not be blank"),
        (ENTRY % "{name: ' '}", "trail.attestations[1].name must not be blank"),
        (ENTRY % "{name: [a]}", "trail.attestations[1].name must be a string"),
        (ENTRY % "{name: 5}", "trail.attestations[1].name must be a string; put it in quotes"),
        (ENTRY % ("{name: %s}" % ("x" * 256)), "trail.attestations[1].name must have at most 255"),
        (ENTRY % "{name: a, type: ' '}", "trail.attestations[1].type must not be blank"),
        (ENTRY % "{name: a, type: {b: c}}", "trail.attestations[1].type must be a string"),
        (ENTRY % "{name: ok}", "trail.attestations[1].name appears twice: 'ok'"),
        ("trail: {artifacts: [{name: a}, {name: a}]}", "trail.artifacts[1].name appears twice"),
        ("trail: {artifacts: [{attestations: []}]}", "trail.artifacts[0].name must not be blank"),
        ("artifacts: [{name: a}, {name: a}]", "artifacts[1].name appears twice"),
        (
            "trail: {artifacts: [{name: a, attestations: [{name: x}, {name: x}]}]}",
            "trail.artifacts[0].attestations[1].name appears twice",
        ),
        ("trail: {}\ntrail: {}", "line 2: the key 'trail' appears twice"),
        ("trail: &a {}", "line 1: anchors and aliases are not supported"),
        ("trail: !!map {}", "line 1: tags are not supported"),
        ("trail: {", "line "),
    ],
)  # fmt: skip
def test_a_refusal_names_the_place(text: str, told: str) -> None:
    assert told in refusal(text)


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("'flow.name = \"x\"'", "cannot be read at character 11"),
        ("'flow.colour == \"x\"'", "cannot be read"),
        ("''", "ends too early"),
        ("true", "must be a string"),
        ("[a]", "must be a string"),
        ("'matches(flow.name, \"(a)\\1\")'", "a pattern that RE2 does not accept"),
        ("'matches(flow.name, \"(?=a)b\")'", "a pattern that RE2 does not accept"),
        ("'matches(flow.name, \"((a{100}){100}){100}\")'", "a pattern that RE2 does not accept"),
        (repr("(" * 65 + "true" + ")" * 65), "nests more than 64 levels"),
        (repr("true or " * 200 + "true"), f"must have at most {MAX_CONDITION} characters"),
    ],
)
def test_a_condition_that_cannot_be_read_is_refused(condition: str, told: str) -> None:
    for place in ("trail.attestations[0].if", "trail.artifacts[0].attestations[0].if"):
        entry = f"[{{name: a, if: {condition}}}]"
        slot = f"{{artifacts: [{{name: image, attestations: {entry}}}]}}"
        text = f"trail: {{attestations: {entry}}}" if "artifacts" not in place else f"trail: {slot}"
        message = refusal(text)
        assert message.startswith(place)
        assert told in message


def test_a_backtracking_pattern_is_quick() -> None:
    """RE2 takes time in proportion to the text."""
    before = process_time()
    [requirement] = asked("""trail: {attestations: [{name: a, if: 'matches(flow.name, "(a+)+$")'}]}""").trail
    assert requirement.condition == 'matches(flow.name, "(a+)+$")'
    assert process_time() - before < 0.5


def test_the_longest_condition_may_be_a_chain() -> None:
    chain = "true or " * 124 + "true"
    [requirement] = asked(f"trail: {{attestations: [{{name: a, if: {chain!r}}}]}}").trail
    assert requirement.condition == chain


def requiring(*conditions: str) -> str:
    entries = [{"name": f"n{n}", "if": condition} for n, condition in enumerate(conditions)]
    return json.dumps({"trail": {"attestations": entries}})


def test_a_template_with_many_dear_patterns_is_refused_at_the_first_beyond_its_budget() -> None:
    """2,000 of them took 70 s and 1.6 GB; a sixth of these is more than the template may cost."""
    dear = [" or ".join(f"matches(flow.name, '{n}{m}\\\\pL')" for m in "abcd") for n in range(300)]
    text = requiring(*dear)
    place = f"trail.attestations[{MAX_PROGRAM // compiled(dear[0]).program}].if"
    assert f"{place} goes beyond the {MAX_PROGRAM} instructions of compiled patterns" in refusal(text)
    assert cheapest(lambda: refusal(text)) < cheapest(lambda: [compiled(one) for one in dear[:50]])


def cheapest(act: Callable[[], object]) -> float:
    """The least processor time of three rounds without anything compiled before, in seconds."""
    rounds = []
    for _ in range(3):
        compiled.cache_clear()
        re2.purge()
        before = process_time()
        act()
        rounds.append(process_time() - before)
    return min(rounds)


def many(kind: str, count: int) -> str:
    """A template with so many of something, over several lists of those allowed."""
    entries = [{"name": f"n{n}"} for n in range(count)]
    if kind == "artifacts":
        return json.dumps({"trail": {"artifacts": entries}})
    if kind == "patterns":
        return requiring(*[" or ".join(["matches(flow, 'a')"] * 10)] * (count // 10), *["true"] * (count % 10 > 0))
    types = [f"t{n}" for n in range(count // 4)]
    slots = [{"name": f"a{n}", "attestations": [{"name": "a"}]} for n in range(count // 4)]
    trail = {"attestations": entries[: count - 2 * (count // 4)], "artifacts": slots}
    return json.dumps({"trail": trail, "requiredAttestations": types})


@pytest.mark.parametrize(
    ("kind", "most"), [("attestations", MAX_REQUIREMENTS), ("artifacts", MAX_ARTIFACTS), ("patterns", MAX_PATTERNS)]
)
def test_a_whole_template_has_a_budget(kind: str, most: int) -> None:
    asked(many(kind, most))
    assert f"goes beyond the {most} {kind}" in refusal(many(kind, most + 10))


KINDS = ["generic", "junit", "snyk", "pull_request", "jira", "sonar", "decision", "'*'", "custom:coverage"]


@pytest.mark.parametrize("kind", KINDS)
def test_strict_takes_the_types_of_the_list(kind: str) -> None:
    text = f"trail: {{attestations: [{{name: a, type: {kind}}}]}}"
    assert asked(text, strict=True).trail == (Requirement(kind.strip("'"), "a"),)


def test_strict_knows_the_other_spelling_of_pull_request() -> None:
    text = "trail: {attestations: [{name: a, type: pull-request}]}"
    assert asked(text, strict=True).trail == (Requirement("pull_request", "a"),)


@pytest.mark.parametrize("text", ["version: 1", "{}", "trail:", "trail: {artifacts: [{name: image}]}"])
def test_strict_takes_what_is_optional(text: str) -> None:
    assert asked(text, strict=True) == asked(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("version: 2", "version must be 1"),
        ("version: '1'", "version must be 1"),
        ("version: true", "version must be 1"),
        ("name: x", "the document has the unknown key 'name'"),
        ("artifacts: []", "the document has the unknown key 'artifacts'"),
        ("requiredAttestations: []", "the document has the unknown key"),
        ("trail: {name: x}", "trail has the unknown key 'name'"),
        ("trail: {artifacts: [{name: a, tag: b}]}", "trail.artifacts[0] has the unknown key 'tag'"),
        (ENTRY % "{name: a, type: junit}", "trail.attestations[0].type must not be blank"),
        ("trail: {attestations: [{name: a, type: junit, if: 'true'}]}", "has the unknown key 'if'"),
        ("trail: {attestations: [{name: a, type: BUILD}]}", "trail.attestations[0].type must be one of generic"),
        ("trail: {attestations: [{name: a, type: 'custom:'}]}", "trail.attestations[0].type must be one of"),
        ("trail: {attestations: [{name: a, type: 'custom: '}]}", "trail.attestations[0].type must be one of"),
        ("trail: {attestations: [{name: a, type: ' generic'}]}", "trail.attestations[0].type must be one of"),
        ("trail: {attestations: [{name: '', type: junit}]}", "trail.attestations[0].name must not be blank"),
    ],
)
def test_strict_refuses_what_it_does_not_know(text: str, told: str) -> None:
    assert told in refusal(text, strict=True)


fragments = st.text(st.sampled_from("{}[]:,-&*!?|>'\"#%@ \nab1~<.\\"), max_size=60)
keys = st.sampled_from(["version", "trail", "attestations", "artifacts", "requiredAttestations", "name", "type", "if"])
values = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["true", "junit", "a"])
shapes = st.recursive(
    values, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5), max_leaves=30
)


@given(st.text() | fragments | shapes.map(json.dumps) | shapes.map(yaml.safe_dump), st.booleans())
def test_any_text_is_a_template_or_refused(text: str, strict: bool) -> None:
    with suppress(Invalid):
        assert parse_template(text, strict=strict).requirements.problem is None


names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12)
conditions = st.sampled_from([None, "true", 'flow.name == "a"', "${{ exists(flow) }}", 'flow.tags.x in ["a", "b"]'])
entries = st.lists(
    st.builds(lambda name, kind, when: {"name": name, "type": kind, "if": when}, names, names, conditions),
    unique_by=lambda entry: entry["name"],
    max_size=4,
)
slots = st.lists(
    st.builds(lambda name, own: {"name": name, "attestations": own}, names, entries),
    unique_by=lambda slot: slot["name"],
    max_size=3,
)


@given(entries, slots, st.lists(names, max_size=3))
def test_what_was_compiled_reads_back_from_what_is_stored(
    own: list[Any], artifacts: list[Any], types: list[str]
) -> None:
    document = {"requiredAttestations": types, "trail": {"attestations": own, "artifacts": artifacts}}
    found = asked(json.dumps(document, ensure_ascii=False))
    assert [one.name for one in found.trail if one.name is not None] == [one["name"] for one in own]
    assert [slot.name for slot in found.artifacts] == [slot["name"] for slot in artifacts]
    assert RequirementSet.from_json(json.loads(json.dumps(found.to_json()))) == found


def flow(**fields: Any) -> Flow:
    moment = datetime(2026, 11, 22, tzinfo=UTC)
    values: dict[str, Any] = {
        "id": UUID(int=1),
        "org_id": UUID(int=2),
        "name": "payments-api",
        "version": 1,
        "description": "",
        "required_types": [],
        "tags": {},
        "requires_approval": False,
        "required_approver_roles": [],
        "visibility": "PRIVATE",
        "template_text": None,
        "created_at": moment,
        "updated_at": moment,
    }
    return Flow(**{**values, **fields})


def test_a_flow_without_a_template_is_written_as_one() -> None:
    written = written_template(flow(description="Z\u00fcrich", required_types=["BUILD", "08"], tags={"team": "yes"}))
    assert yaml.safe_load(written) == {
        "name": "payments-api",
        "description": "Z\u00fcrich",
        "requiredAttestations": ["BUILD", "08"],
        "tags": {"team": "yes"},
    }
    assert "Z\u00fcrich" in written


@given(st.lists(names, max_size=5))
def test_what_is_written_asks_for_the_same(types: list[str]) -> None:
    template = parse_template(written_template(flow(required_types=types)))
    assert template.requirements == RequirementSet.of_types(types)


def test_the_document_has_every_key_it_was_sent_with() -> None:
    assert template_document("version: 1\nframework: SLSA\ntrail: {x: [1, true, null]}") == {
        "version": 1,
        "framework": "SLSA",
        "trail": {"x": [1, True, None]},
    }
    with pytest.raises(Invalid):
        template_document("[")


def test_a_template_is_what_commands_take() -> None:
    assert isinstance(parse_template(FULL), Template)
