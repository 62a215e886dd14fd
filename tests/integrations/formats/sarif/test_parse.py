"""SARIF: which results count, how bad they are, and what has not been analysed at all."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from integrations.formats.parsed import Deadline, ParsedEvidence, Unreadable
from integrations.formats.sarif.parse import parsed_sarif
from tests.integrations.formats.evidence_files import (
    anything,
    error_of,
    fixture_names,
    fixture_reading,
    reading_of_json,
)

EXPECTED = {
    "codeql__rules_in_extensions": {"high": 1},
    "gosec__clean": {},
    "scanner__crashed": {},
    "semgrep__suppressed": {},
    "trivy__image": {"critical": 1, "medium": 2},
}
NOTES = {"codeql__rules_in_extensions": 1}


def report(*results: Any, rules: list[Any] | None = None, **run: Any) -> dict[str, Any]:
    tool = {"driver": {"name": "x", "rules": rules or []}}
    return {"version": "2.1.0", "runs": [{"tool": tool, "results": list(results), **run}]}


def read(*results: Any, rules: list[Any] | None = None, **run: Any) -> ParsedEvidence:
    return reading_of_json("sarif", report(*results, rules=rules, **run))


def severity(result: dict[str, Any], **rule: Any) -> str:
    found = read({"ruleId": "r"} | result, rules=[{"id": "r", **rule}]).details["severities"]
    (name,) = (name for name, count in found.items() if count)
    return str(name)


def test_every_fixture_is_expected() -> None:
    assert sorted(EXPECTED) == fixture_names("sarif")


@pytest.mark.parametrize("kind", ["sarif", "snyk"])
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_what_each_tool_writes(kind: str, name: str) -> None:
    reading = fixture_reading(kind, "sarif", name)
    expected = dict.fromkeys(("critical", "high", "medium", "low"), 0) | EXPECTED[name]
    notes = {"notes": NOTES[name]} if name in NOTES else {}
    assert reading.details == {"vulnerabilities": sum(expected.values()), "severities": expected} | notes
    assert reading.passed is (not EXPECTED[name] and name != "scanner__crashed")


def test_the_reason_lists_what_was_found() -> None:
    assert fixture_reading("sarif", "sarif", "trivy__image").reason == "Findings: 1 critical, 2 medium"
    crashed = fixture_reading("sarif", "sarif", "scanner__crashed")
    assert crashed.reason == (
        "The tool reports that its run did not succeed; The tool reports an error of its own: out of memory"
    )


def test_runs_add_up() -> None:
    document = report({"level": "error"})
    document["runs"] += report({"level": "warning"}, {"level": "warning"})["runs"]
    assert reading_of_json("sarif", document).details["vulnerabilities"] == 3


def test_a_report_without_a_version_is_read() -> None:
    assert reading_of_json("sarif", {"runs": [{"results": []}]}).passed is True
    assert reading_of_json("sarif", {"runs": [{"results": [{}]}]}).passed is False


@pytest.mark.parametrize("version", ["1.0.0", "2.0.0", "2.0.0-csd.2", "2.1", "2.1.01", "", None, 2.1, "3.0.0"])
def test_other_versions_are_named(version: object) -> None:
    error = error_of("sarif", json.dumps({"version": version, "runs": []}))
    assert error == f"SARIF version {version} is not supported, only 2.1.0"


@pytest.mark.parametrize("version", ["2.1.0", "2.1.0-rtm.5"])
def test_the_standards_drafts_are_read(version: str) -> None:
    assert reading_of_json("sarif", {"version": version, "runs": [{"results": []}]}).passed is True


# Which results count


@pytest.mark.parametrize("kind", ["pass", "notApplicable", "informational"])
def test_results_that_say_all_is_well_do_not_count(kind: str) -> None:
    assert read({"kind": kind}).passed is True


@pytest.mark.parametrize("kind", ["fail", "Pass", "", None, 5, ["pass"], {"pass": 1}])
def test_results_of_any_other_kind_count(kind: object) -> None:
    assert read({"kind": kind}).details["vulnerabilities"] == 1


@pytest.mark.parametrize("kind", ["review", "open"])
def test_what_a_person_has_yet_to_judge_is_undecided(kind: str) -> None:
    waiting: dict[str, Any] = {"kind": kind, "level": "none"}
    reading = read(waiting, waiting, {"level": "note"})
    assert (reading.passed, reading.reason) == (None, "Results that wait for a person's judgement: 2")
    assert read(waiting, {"level": "error"}).passed is False
    assert read(waiting, invocations=[{"executionSuccessful": False}]).passed is False
    assert read(waiting | {"suppressions": [{"kind": "external"}]}).passed is True


@pytest.mark.parametrize(
    ("suppressions", "counted"),
    [
        ([{"kind": "inSource"}], 0),
        ([{"kind": "external", "status": "accepted"}, {"kind": "inSource"}], 0),
        ([{"status": "underReview"}], 1),
        ([{"status": "accepted"}, {"status": "rejected"}], 1),
        ([], 1),
        (None, 1),
        ("all", 1),
        ([None], 1),
        ([{"status": None}], 1),
    ],
)
def test_suppressed_results_do_not_count_once_it_is_accepted(suppressions: object, counted: int) -> None:
    assert read({"suppressions": suppressions}).details["vulnerabilities"] == counted


@pytest.mark.parametrize(("state", "counted"), [("absent", 0), ("new", 1), ("unchanged", 1), ("updated", 1)])
def test_results_gone_since_the_baseline_do_not_count(state: str, counted: int) -> None:
    assert read({"baselineState": state}).details["vulnerabilities"] == counted


# How bad they are


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ("10.0", "critical"),
        ("9.0", "critical"),
        (8.9, "high"),
        ("7", "high"),
        ("6.9", "medium"),
        ("4.0", "medium"),
        ("3.9", "low"),
        (0.1, "low"),
        ("0.0", "none"),
        ("-1", "none"),
        ("1e400", "medium"),
        ("nan", "medium"),
        ("high", "medium"),
        ("", "medium"),
        (None, "medium"),
        ([9], "medium"),
        ("9" * 5000, "medium"),
    ],
)
def test_scores(score: object, expected: str) -> None:
    """What is no score leaves the level to tell."""
    properties = {"security-severity": score}
    assert severity({"level": "warning", "properties": properties}) == expected
    assert severity({"level": "warning"}, properties=properties) == expected


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("error", "high"),
        ("warning", "medium"),
        ("fatal", "medium"),
        ("Note", "medium"),
        (7, "medium"),
        (None, "medium"),
    ],
)
def test_errors_and_warnings_fail_and_so_does_a_level_that_is_none(level: object, expected: str) -> None:
    assert severity({"level": level}) == expected
    assert severity({}, defaultConfiguration={"level": level}) == expected


@pytest.mark.parametrize("level", ["note", "none"])
def test_notes_are_counted_apart_and_do_not_fail(level: str) -> None:
    scored = {"properties": {"security-severity": "9.9"}}
    reading = read(
        {"level": level}, {"ruleId": "r"} | scored, rules=[{"id": "r", "defaultConfiguration": {"level": level}}]
    )
    assert (reading.passed, reading.details["vulnerabilities"], reading.details["notes"]) == (True, 0, 2)
    assert read({"level": level}, {"level": "warning"}).passed is False


def test_the_results_own_word_comes_first() -> None:
    rule = {"id": "r", "defaultConfiguration": {"level": "error"}}
    assert read({"ruleId": "r", "level": "note"}, rules=[rule]).passed is True
    own = {"properties": {"security-severity": "2"}}
    assert severity(own, properties={"security-severity": "9.9"}) == "low"
    assert severity({"level": "error"}, properties={"security-severity": "5.0"}) == "medium"
    assert severity({}) == "medium"


def configured(level: Any, **descriptor: Any) -> dict[str, Any]:
    """An invocation that gave a rule another level."""
    return {"ruleConfigurationOverrides": [{"descriptor": descriptor, "configuration": {"level": level}}]}


CONFIGURED = [{"id": "a"}, {"id": "b", "defaultConfiguration": {"level": "note"}}]


@pytest.mark.parametrize(
    ("result", "invocations", "passed"),
    [
        ({"ruleId": "a"}, [configured("note", id="a")], True),
        ({"ruleIndex": 0}, [configured("note", id="a")], True),
        ({"ruleId": "a"}, [configured("note", index=0)], True),
        ({"ruleId": "undescribed"}, [configured("note", id="undescribed")], True),
        ({"ruleId": "a"}, [configured("note", id="b")], False),
        ({"ruleId": "a", "level": "error"}, [configured("note", id="a")], False),
        ({"ruleId": "b"}, [configured("error", id="b")], False),
        ({"ruleId": "b"}, [configured(5, id="b")], True),
        ({"ruleId": "a"}, [{}, configured("note", id="a")], False),
        ({"ruleId": "a", "provenance": {"invocationIndex": 1}}, [{}, configured("note", id="a")], True),
        ({"ruleId": "a", "provenance": {"invocationIndex": 0}}, [{}, configured("note", id="a")], False),
        ({"ruleId": "a", "provenance": {"invocationIndex": -1}}, [configured("note", id="a")], False),
        ({}, [configured("note")], False),
    ],
)
def test_an_invocation_may_give_a_rule_another_level(result: Any, invocations: Any, passed: bool) -> None:
    """SARIF 3.20.5; a result without an index is of the only invocation, if there is one."""
    assert read(result, rules=CONFIGURED, invocations=invocations).passed is passed


RULES = [{"id": "a"}, {"id": "b/c", "defaultConfiguration": {"level": "error"}}]


@pytest.mark.parametrize(
    "reference",
    [
        {"ruleId": "b/c"},
        {"ruleId": "b/c/d"},
        {"ruleIndex": 1},
        {"rule": {"index": 1}},
        {"rule": {"id": "b/c"}},
        {"ruleId": "a", "ruleIndex": 1},
    ],
)
def test_rules_are_found_by_index_and_by_id(reference: dict[str, Any]) -> None:
    assert read(reference, rules=RULES).details["severities"]["high"] == 1


@pytest.mark.parametrize(
    "reference",
    [
        {},
        {"ruleId": "b"},
        {"ruleId": 1},
        {"ruleIndex": -1},
        {"ruleIndex": 2},
        {"ruleIndex": True},
        {"ruleIndex": 1.0},
        {"ruleIndex": "1"},
        {"rule": {"index": 1, "toolComponent": {"index": 0}}},
        {"rule": [1]},
    ],
)
def test_a_result_without_its_rule_is_a_warning(reference: dict[str, Any]) -> None:
    found = read(reference, rules=RULES, tool={"driver": {"rules": RULES}, "extensions": [{"rules": []}]})
    assert found.details["severities"]["medium"] == 1


# What has not been analysed


@pytest.mark.parametrize(
    "document",
    [
        "{}",
        "[]",
        "null",
        "5",
        '"runs"',
        '{"runs": null}',
        '{"runs": {}}',
        '{"vulnerabilities": []}',
        '{"version": "2.1.0"}',
    ],
)
def test_an_unknown_shape_fails(document: str) -> None:
    assert error_of("sarif", document) == "The file is not SARIF: it has no list of runs"


@pytest.mark.parametrize("runs", ["[]", "[{}]", '[{"results": null}]', "[null]", '[{"results": []}, {"results": {}}]'])
def test_a_run_that_analysed_nothing_fails(runs: str) -> None:
    assert "nothing was analysed" in error_of("sarif", f'{{"runs": {runs}}}')


@pytest.mark.parametrize(
    ("invocations", "passed"),
    [
        ([{"executionSuccessful": False}], False),
        ([{"executionSuccessful": True}, {"executionSuccessful": False}], False),
        ([{"executionSuccessful": True}], True),
        ([{}], True),
        ([], True),
        (None, True),
    ],
)
def test_a_tool_that_failed_does_not_pass(invocations: object, passed: bool) -> None:
    assert read(invocations=invocations).passed is passed


ERROR = {"level": "error", "message": {"text": "target could not be\nloaded"}}


@pytest.mark.parametrize(
    ("notifications", "reason"),
    [
        ({"toolExecutionNotifications": [{"level": "note"}, ERROR]}, "target could not be\ufffdloaded"),
        ({"toolConfigurationNotifications": [ERROR]}, "target could not be\ufffdloaded"),
        ({"toolConfigurationNotifications": [{"level": "error", "message": {"id": "x"}}]}, "(no text)"),
        ({"toolExecutionNotifications": [{"level": "warning"}, {}, None, 5]}, None),
        ({"toolExecutionNotifications": None}, None),
    ],
)
def test_a_tool_that_reports_an_error_of_its_own_does_not_pass(notifications: Any, reason: str | None) -> None:
    reading = read(invocations=[{"executionSuccessful": True} | notifications])
    assert reading.reason == (reason and f"The tool reports an error of its own: {reason}")


def test_results_in_other_files_do_not_pass() -> None:
    assert read(externalPropertyFileReferences={"rules": []}).passed is True
    elsewhere = read(externalPropertyFileReferences={"results": [{"location": {"uri": "more.json"}}]})
    assert (elsewhere.passed, elsewhere.reason) == (False, "The results are in other files")


def test_findings_and_doubts_stand_together() -> None:
    reading = read({"level": "error"}, invocations=[{"executionSuccessful": False}])
    assert reading.reason == "Findings: 1 high; The tool reports that its run did not succeed"


@pytest.mark.parametrize("result", [None, 5, "x", [], {}])
def test_results_of_an_odd_form_count(result: object) -> None:
    assert read(result).details["vulnerabilities"] == 1


MEMBERS = ["ruleId", "ruleIndex", "rule", "kind", "level", "suppressions", "baselineState", "properties"]
odd = st.dictionaries(st.sampled_from(MEMBERS), anything)


@given(odd, st.dictionaries(st.sampled_from(["id", "properties", "defaultConfiguration"]), anything))
@example({"kind": {}, "level": []}, {"id": []})
def test_odd_members_never_do_worse_than_count(result: dict[str, Any], rule: dict[str, Any]) -> None:
    invocation = {"ruleConfigurationOverrides": [{"descriptor": rule, "configuration": result}]}
    assert read(result, rules=[rule], invocations=[invocation]).details["vulnerabilities"] in (0, 1)


@given(anything)
def test_any_json_has_a_reading(document: object) -> None:
    assert not reading_of_json("sarif", document).passed or '"results"' in json.dumps(document)
    reading_of_json("sarif", {"runs": [{"tool": document, "results": [document], "invocations": document}]})


def test_a_long_list_is_left_when_the_time_is_up() -> None:
    with pytest.raises(Unreadable, match="took too long"):
        parsed_sarif(report({}), Deadline.after(-1))
