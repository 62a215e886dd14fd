"""Reports of scanners: recognised by what they say, and counted by severity."""

from typing import Any

import pytest

from domain.gates.security_scans import Counts
from integrations.formats.parsed import Deadline, Unreadable
from integrations.formats.scan_reports import counts_of, format_of, parsed_report

RESULT: dict[str, Any] = {"ruleId": "r", "level": "error"}


def counted(document: Any) -> tuple[str, Counts]:
    parsed = parsed_report(document, Deadline.after(10))
    return format_of(parsed), counts_of(parsed)


def test_sarif_with_notes_and_findings_without_severity() -> None:
    scored = RESULT | {"properties": {"security-severity": "0.0"}}
    results = [RESULT, RESULT | {"level": "note"}, RESULT | {"level": "none"}, scored, RESULT | {"kind": "pass"}]
    assert counted({"version": "2.1.0", "runs": [{"results": results}]}) == ("sarif", Counts(high=1, informational=3))


def test_snyk_with_an_unknown_severity() -> None:
    issues = [{"severity": "high"}, {"severity": "blocker"}]
    assert counted({"vulnerabilities": issues}) == ("snyk", Counts(high=1, informational=1))


def test_trivy() -> None:
    results = [{"Vulnerabilities": [{"Severity": "LOW"}, {"Severity": "UNKNOWN"}]}]
    document = {"SchemaVersion": 2, "ArtifactName": "shop:1", "Results": results}
    assert counted(document) == ("trivy", Counts(low=1, informational=1))


def test_what_waits_for_a_person_is_a_doubt() -> None:
    parsed = parsed_report({"runs": [{"results": [RESULT | {"kind": "review"}]}]}, Deadline.after(10))
    assert (parsed.passed, parsed.doubt) == (None, "Results that wait for a person's judgement: 1")


@pytest.mark.parametrize("document", [None, 1, "x", {}, {"matches": []}, {"Results": []}])
def test_anything_else_is_unreadable(document: Any) -> None:
    with pytest.raises(Unreadable):
        counted(document)
