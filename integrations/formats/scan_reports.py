"""Reports of security scanners, recognised by their content: SARIF, Snyk's JSON and Trivy's JSON."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from domain.gates.security_scans import Counts
from integrations.formats.findings import SCALE
from integrations.formats.json_files import as_object, read_json
from integrations.formats.parsed import Deadline, ParsedEvidence, Unreadable
from integrations.formats.sarif.parse import parsed_sarif
from integrations.formats.snyk.parse import parsed_snyk
from integrations.formats.trivy.parse import parsed_trivy

SCAN_REPORT = "scan report"
"""The kind of file; no type of attestations."""

_FORMAT = "format"
_LEAST = ("notes", "unknown", "none")
"""What counts as informational: notes, and findings without a severity."""


def parse(path: Path, deadline: Deadline) -> ParsedEvidence:
    """Read the findings of a report in any of the formats. Raises Unreadable."""
    return parsed_report(read_json(path, deadline), deadline)


def parsed_report(document: Any, deadline: Deadline) -> ParsedEvidence:
    """Read the findings of a parsed report; the details name its format. Raises Unreadable."""
    name, evaluate = _recognised(document)
    parsed = evaluate(document, deadline)
    return replace(parsed, details={_FORMAT: name, **parsed.details})


def format_of(parsed: ParsedEvidence) -> str:
    """Return the name of a report's format."""
    return str(parsed.details[_FORMAT])


def counts_of(parsed: ParsedEvidence) -> Counts:
    """Return the findings of a report by severity."""
    found: Mapping[str, int] = {**parsed.details, **parsed.details["severities"]}
    return Counts(
        **{severity: found[severity] for severity in SCALE}, informational=sum(found.get(name, 0) for name in _LEAST)
    )


def _recognised(document: Any) -> tuple[str, Callable[[Any, Deadline], ParsedEvidence]]:
    members = as_object(document)
    if "runs" in members:
        return "sarif", parsed_sarif
    if "SchemaVersion" in members:
        return "trivy", parsed_trivy
    if isinstance(document, list) or "vulnerabilities" in members:
        return "snyk", parsed_snyk
    raise Unreadable("The report is neither SARIF nor the JSON of Snyk or Trivy")
