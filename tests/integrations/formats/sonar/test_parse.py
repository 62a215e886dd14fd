"""SonarQube's quality gate, asked for or sent."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.integrations.formats.evidence_files import (
    anything,
    error_of,
    fixture_names,
    fixture_reading,
    reading_of,
    reading_of_json,
)

EXPECTED: dict[str, tuple[str, list[str] | None]] = {
    "project_status__error": ("ERROR", ["new_coverage", "new_security_hotspots_reviewed"]),
    "project_status__ok": ("OK", None),
    "webhook__analysis_failed": ("FAILED", []),
    "webhook__error": ("ERROR", ["new_duplicated_lines_density"]),
    "webhook__ok": ("OK", None),
}


def test_every_fixture_is_expected() -> None:
    assert sorted(EXPECTED) == fixture_names("sonar")


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_what_sonar_writes(name: str) -> None:
    status, failed = EXPECTED[name]
    reading = fixture_reading("sonar", "sonar", name)
    assert reading.passed is (status == "OK")
    assert reading.details == {"qualityGateStatus": status} | ({} if failed is None else {"failedConditions": failed})


def test_the_reason_names_conditions() -> None:
    reading = fixture_reading("sonar", "sonar", "project_status__error")
    assert reading.reason == "The quality gate is ERROR: new_coverage, new_security_hotspots_reviewed"
    assert reading_of_json("sonar", {"status": "WARN"}).reason == "The quality gate is WARN"


SHAPES = [
    lambda status: {"projectStatus": {"status": status}},
    lambda status: {"status": status},
    lambda status: {"qualityGate": {"status": status}},
    lambda status: {"status": "SUCCESS", "qualityGate": {"status": status}},
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("status", "passed"),
    [
        ("OK", True),
        ("ok", True),
        ("Passed", True),
        ("PASSED", True),
        ("ERROR", False),
        ("WARN", False),
        ("NONE", False),
        ("OK ", False),
        ("NOT OK", False),
    ],
)
def test_the_status_in_each_shape(shape: Any, status: str, passed: bool) -> None:
    reading = reading_of_json("sonar", shape(status))
    assert reading.passed is passed
    assert reading.details["qualityGateStatus"] == status


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("status", [None, "", True, 1, ["OK"], {"status": "OK"}])
def test_a_status_that_is_no_text_fails(shape: Any, status: object) -> None:
    assert error_of("sonar", json.dumps(shape(status))) == "The file has no status of a quality gate"


def test_the_success_of_the_analysis_is_not_that_of_the_gate() -> None:
    assert error_of("sonar", '{"status": "SUCCESS"}') == "The file has no status of a quality gate"
    assert reading_of_json("sonar", {"status": "SUCCESS", "qualityGate": {"status": "ERROR"}}).passed is False


@pytest.mark.parametrize("status", ["FAILED", "CANCELED", "PENDING", None, 1])
def test_a_gate_of_an_analysis_that_did_not_succeed_fails(status: object) -> None:
    body = {"status": status, "qualityGate": {"status": "OK"}}
    assert error_of("sonar", json.dumps(body)) == "The analysis did not succeed"


def test_project_status_comes_first() -> None:
    assert reading_of_json("sonar", {"projectStatus": {"status": "ERROR"}, "status": "OK"}).passed is False
    assert error_of("sonar", '{"projectStatus": null, "status": "OK"}') == "The file has no status of a quality gate"


@pytest.mark.parametrize("document", ["{}", "[]", "null", '"OK"', '[{"status": "OK"}]', '{"Status": "OK"}'])
def test_an_unknown_shape_fails(document: str) -> None:
    assert error_of("sonar", document) == "The file has no status of a quality gate"


def test_the_longest_conditions_fit() -> None:
    conditions = [{"status": "ERROR", "metricKey": "\U0001f682" * 300}] * 50
    reading = reading_of_json("sonar", {"projectStatus": {"status": "\U0001f682" * 300, "conditions": conditions}})
    assert reading.details["failedConditions"] == ["\U0001f682" * 200] * 10


@given(st.dictionaries(st.sampled_from(["status", "qualityGate", "conditions"]), anything), anything)
def test_any_json_has_a_reading(document: dict[str, Any], conditions: object) -> None:
    text = json.dumps(document).lower()
    assert not reading_of("sonar", text).passed or '"ok"' in text or '"passed"' in text
    assert reading_of_json("sonar", {"status": "ERROR", "conditions": conditions}).passed is False
