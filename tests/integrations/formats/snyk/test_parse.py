"""Snyk's JSON: projects, images, licences, and what must not pass though its list is empty."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.formats.parsed import Deadline, Unreadable
from integrations.formats.snyk.parse import parsed_snyk
from tests.integrations.formats.evidence_files import (
    anything,
    error_of,
    fixture_names,
    fixture_reading,
    reading_of,
    reading_of_json,
)

EXPECTED: dict[str, tuple[dict[str, int], int, int] | None] = {
    "container__applications": ({"critical": 1, "low": 1}, 0, 3),
    "error__no_manifest": None,
    "iac__issues": ({"medium": 1}, 0, 1),
    "maven__all_projects": ({"high": 1, "low": 1}, 0, 3),
    "npm__all_ignored": ({}, 0, 1),
    "npm__clean": ({}, 0, 1),
    "npm__vulnerable": ({"critical": 2, "medium": 2}, 1, 1),
}
"""Findings by severity, licence issues, projects; None where there is no result at all."""

CLEAN = {"vulnerabilities": [], "ok": True}


def issue(**members: Any) -> dict[str, Any]:
    return {"vulnerabilities": [{"id": "SNYK-1", "severity": "high"} | members], "ok": False}


def test_every_fixture_is_expected() -> None:
    assert sorted(EXPECTED) == fixture_names("snyk")


@pytest.mark.parametrize("name", sorted(name for name, expected in EXPECTED.items() if expected))
def test_what_snyk_writes(name: str) -> None:
    reading = fixture_reading("snyk", "snyk", name)
    found, licenses, projects = EXPECTED[name] or ({}, 0, 0)
    assert reading.passed is (not found)
    assert reading.details == {
        "vulnerabilities": sum(found.values()),
        "severities": {"critical": 0, "high": 0, "medium": 0, "low": 0} | found,
        "licenses": licenses,
        "projects": projects,
    }


def test_an_error_of_snyk_is_no_result_and_its_paths_are_not_repeated() -> None:
    reading = fixture_reading("snyk", "snyk", "error__no_manifest")
    assert reading.passed is False
    assert reading.details == {"error": "Snyk reports an error instead of a result"}


def test_the_reason_lists_what_was_found() -> None:
    assert fixture_reading("snyk", "snyk", "npm__vulnerable").reason == "Findings: 2 critical, 2 medium"


def test_a_list_alone_is_enough() -> None:
    assert reading_of_json("snyk", {"vulnerabilities": []}).passed is True
    assert reading_of_json("snyk", {"vulnerabilities": [{}]}).details["severities"]["unknown"] == 1


@pytest.mark.parametrize("ok", [False, None, "true", 1, 0, []])
def test_a_project_that_is_not_ok_does_not_pass_with_an_empty_list(ok: object) -> None:
    reading = reading_of_json("snyk", {"vulnerabilities": [], "ok": ok})
    assert reading.passed is False
    assert reading.reason == "Snyk reports that the project is not ok"


def test_one_project_that_is_not_ok_fails_all() -> None:
    assert reading_of_json("snyk", [CLEAN, CLEAN]).passed is True
    assert reading_of_json("snyk", [CLEAN, CLEAN | {"ok": False}]).passed is False
    assert reading_of_json("snyk", CLEAN | {"applications": [CLEAN | {"ok": False}]}).passed is False


def test_issues_count_though_ok_says_otherwise() -> None:
    assert reading_of_json("snyk", issue() | {"ok": True}).passed is False


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"severity": "critical"}, "critical"),
        ({"severity": "High"}, "high"),
        ({"severityWithCritical": "critical"}, "critical"),
        ({"severityWithCritical": None}, "high"),
        ({"severity": None}, "unknown"),
        ({"severity": "blocker"}, "unknown"),
        ({"severity": {}}, "unknown"),
    ],
)
def test_severities(members: dict[str, Any], expected: str) -> None:
    assert reading_of_json("snyk", issue(**members)).details["severities"][expected] == 1


@pytest.mark.parametrize(
    ("members", "licenses"),
    [({"type": "license"}, 1), ({"id": "snyk:lic:pip:x:GPL-3.0"}, 1), ({"type": "vuln"}, 0), ({"id": 5}, 0)],
)
def test_licence_issues(members: dict[str, Any], licenses: int) -> None:
    reading = reading_of_json("snyk", issue(**members))
    assert reading.passed is False
    assert reading.details["licenses"] == licenses


@pytest.mark.parametrize(
    "document",
    [
        {},
        None,
        5,
        "x",
        {"ok": True},
        {"vulnerabilities": None},
        {"vulnerabilities": {}},
        {"vulnerabilities": {"lodash": {"severity": "high"}}, "auditReportVersion": 2},
        [CLEAN, {}],
        [CLEAN, [CLEAN]],
        [None],
        CLEAN | {"applications": [{"ok": True}]},
    ],
)
def test_an_unknown_shape_fails(document: object) -> None:
    error = error_of("snyk", json.dumps(document))
    assert error == "The file is neither SARIF nor Snyk's JSON: it has no list of vulnerabilities"


def test_no_project_fails() -> None:
    assert error_of("snyk", "[]") == "The file contains no Snyk project: nothing was tested"


def test_a_document_with_runs_is_sarif_whatever_else_it_has() -> None:
    assert error_of("snyk", json.dumps(CLEAN | {"runs": None})).startswith("The file is not SARIF")
    assert reading_of_json("snyk", CLEAN | {"runs": [{"results": [{"level": "error"}]}]}).passed is False


def nested(depth: int) -> str:
    return '{"vulnerabilities":[],"applications":[' * depth + json.dumps(CLEAN) + "]}" * depth


def test_applications_within_applications() -> None:
    assert reading_of("snyk", nested(500)).details["projects"] == 501
    assert error_of("snyk", nested(600)).startswith("The file is not JSON: ")


ISSUE = st.dictionaries(st.sampled_from(["id", "type", "severity", "severityWithCritical"]), anything)


@given(st.lists(ISSUE | anything, max_size=4), anything)
def test_whatever_is_in_the_list_counts(issues: list[Any], ok: object) -> None:
    reading = reading_of_json("snyk", {"vulnerabilities": issues, "ok": ok})
    assert reading.details["vulnerabilities"] == len(issues)
    assert reading.passed is (not issues and ok is True)


@given(anything)
def test_any_json_has_a_reading(document: object) -> None:
    assert not reading_of_json("snyk", document).passed or '"results"' in json.dumps(document)


def test_a_long_list_is_left_when_the_time_is_up() -> None:
    with pytest.raises(Unreadable, match="took too long"):
        parsed_snyk(issue(), Deadline.after(-1))
