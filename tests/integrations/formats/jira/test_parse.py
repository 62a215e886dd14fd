"""References to Jira issues."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.integrations.formats.evidence_files import anything, error_of, reading_of, reading_of_json

KEYS = ["PROJ-123", "AB2-1", "X-1", "A_B-0", "A1-" + "9" * 18]
OTHERS = [
    "x",
    "proj-1",
    "Proj-1",
    "PROJ",
    "PROJ-",
    "PROJ-1a",
    "-1",
    "1-1",
    "2AB-1",
    "_A-1",
    "PROJ-1 PROJ-2",
    "PROJ-1\nPROJ-2",
    "PROJ--1",
    "PROJ-\u0661",
    "ÄB-1",
    "https://jira.northwind.example/browse/PROJ-1",
    "A" * 256 + "-1",
    "A-" + "9" * 19,
]


@pytest.mark.parametrize("key", KEYS)
def test_keys_pass_in_both_forms(key: str) -> None:
    reading = reading_of("jira", key)
    assert reading.passed is True
    assert reading.details == {"issueRef": key}
    assert reading_of_json("jira", {"issueRef": key}) == reading


@pytest.mark.parametrize("text", OTHERS)
def test_what_is_no_key_fails_in_both_forms(text: str) -> None:
    reading = reading_of("jira", text)
    assert reading.passed is False
    assert set(reading.details) == {"issueRef"}
    assert "is not the key of a Jira issue" in str(reading.reason)
    assert reading_of_json("jira", {"issueRef": text}) == reading


def test_what_is_no_key_is_shown() -> None:
    assert reading_of("jira", "x").details == {"issueRef": "x"}
    assert reading_of("jira", "y" * 10_000).details == {"issueRef": "y" * 200}
    assert reading_of("jira", "a\0b").details == {"issueRef": "a\ufffdb"}


@pytest.mark.parametrize("content", [b"PROJ-1\n", b" PROJ-1\r\n", b"\xef\xbb\xbfPROJ-1", "PROJ-1\r\n".encode("utf-16")])
def test_what_an_editor_or_a_shell_adds_is_no_part_of_the_key(content: bytes) -> None:
    assert reading_of("jira", content).details == {"issueRef": "PROJ-1"}


def test_the_status_is_shown_but_decides_nothing() -> None:
    reading = reading_of_json("jira", {"issueRef": "PROJ-1", "status": "To Do"})
    assert reading.passed is True
    assert reading.details == {"issueRef": "PROJ-1", "status": "To Do"}
    assert reading_of_json("jira", {"issueRef": "PROJ-1", "status": {"name": "Done"}}).details == {"issueRef": "PROJ-1"}
    assert reading_of_json("jira", {"issueRef": "PROJ-1", "status": "s" * 999}).details["status"] == "s" * 200


def test_json_may_begin_after_blanks_and_in_utf_16() -> None:
    assert reading_of("jira", '\n  {"issueRef": "PROJ-1"}').passed is True
    assert reading_of("jira", '{"issueRef": "PROJ-1"}'.encode("utf-16")).passed is True


@pytest.mark.parametrize(
    "document", [{}, {"issueRef": None}, {"issueRef": ""}, {"issueRef": ["PROJ-1"]}, {"key": "PROJ-1"}]
)
def test_json_without_a_reference_fails(document: object) -> None:
    assert error_of("jira", json.dumps(document)) == "The file has no issueRef"


@pytest.mark.parametrize("content", [b"{", b'{"issueRef": "PROJ-1"', b'{"issueRef": "PROJ-1"} x', b"{\xff}"])
def test_broken_json_fails(content: bytes) -> None:
    assert error_of("jira", content).startswith("The file is not JSON: ")


def test_other_bytes_fail() -> None:
    assert error_of("jira", b"PROJ-1\xff") == "The file is not UTF-8 text"
    assert error_of("jira", b"\xff\xfeP") == "The file begins as UTF-16 but is not valid UTF-16"
    assert error_of("jira", b"") == "The file is empty"
    assert reading_of("jira", b" \n").passed is False


@given(st.text())
def test_only_keys_pass(text: str) -> None:
    reading = reading_of("jira", text + "-")
    assert reading.passed is False


@given(anything)
def test_any_reference_has_a_reading(value: object) -> None:
    passed = reading_of_json("jira", {"issueRef": value, "status": value}).passed
    assert not passed or (isinstance(value, str) and "-" in value)
