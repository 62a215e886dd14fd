"""Trivy's JSON: what counts, and what is no report."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.formats.parsed import Deadline, ParsedEvidence, Unreadable
from integrations.formats.trivy.parse import parse, parsed_trivy
from tests.integrations.formats.evidence_files import anything, fixture_names, kept
from tests.paths import FIXTURES

EXPECTED: Mapping[str, Mapping[str, int]] = {
    "image__clean": {},
    "image__vulnerable": {"critical": 2, "medium": 1, "unknown": 1},
    "repository__all_scanners": {"critical": 1, "high": 1, "low": 1},
    "repository__nothing": {},
}


def evaluated(document: Any) -> ParsedEvidence:
    return kept(parsed_trivy(document, Deadline.after(10)))


def document(**members: Any) -> dict[str, Any]:
    return {"SchemaVersion": 2, "ArtifactName": "shop:1", **members}


def test_every_fixture_is_expected() -> None:
    assert sorted(EXPECTED) == fixture_names("trivy")


@pytest.mark.parametrize("name", EXPECTED)
def test_what_trivy_writes(name: str) -> None:
    reading = kept(parse(FIXTURES / "trivy" / f"{name}.json", Deadline.after(10)))
    found = EXPECTED[name]
    assert reading.passed is (not found)
    assert reading.doubt is None
    severities = {"critical": 0, "high": 0, "medium": 0, "low": 0} | dict(found)
    assert reading.details == {"vulnerabilities": sum(found.values()), "severities": severities}


@pytest.mark.parametrize("status", ["PASS", "EXCEPTION", "", None])
def test_only_failed_checks_of_configurations_count(status: str | None) -> None:
    checks = [{"Severity": "HIGH", "Status": status}, {"Severity": "LOW"}]
    reading = evaluated(document(Results=[{"Misconfigurations": checks}]))
    assert reading.details["severities"] == {"critical": 0, "high": 0, "medium": 0, "low": 1}


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        {},
        document(SchemaVersion=True),
        document(SchemaVersion=3),
        document(SchemaVersion="2"),
        document(ArtifactName=""),
        document(ArtifactName=1),
        document(Results="none"),
        document(Results=[None]),
        document(Results=[{"Vulnerabilities": {}}]),
        document(Results=[{"Secrets": ["x"]}]),
        document(Results=[{"Misconfigurations": 0}]),
    ],
)
def test_what_is_no_report_is_unreadable(broken: Any) -> None:
    with pytest.raises(Unreadable) as refused:
        evaluated(broken)
    assert len(refused.value.message) < 300


@given(st.lists(anything, max_size=3), anything)
def test_whatever_the_lists_hold(findings: list[Any], result: Any) -> None:
    try:
        reading = evaluated(document(Results=[{"Vulnerabilities": findings}, result]))
    except Unreadable:
        return
    assert reading.details["vulnerabilities"] >= len(findings)


def test_a_deadline_is_kept() -> None:
    with pytest.raises(Unreadable, match="too long"):
        parsed_trivy(document(Results=[{"Secrets": [{}]}]), Deadline.after(-1))
