"""The JSON report of Trivy (`--format json`, schema version 2).

A scan that finds nothing may have no results at all. Findings that Trivy was told to ignore are not among them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from integrations.formats.findings import SCALE, parsed_findings
from integrations.formats.json_files import as_object, as_text, read_json
from integrations.formats.parsed import Deadline, ParsedEvidence, Unreadable, shown

_VERSION = 2
_LISTS = ("Vulnerabilities", "Misconfigurations", "Secrets")
"""What counts. Licences do not: Trivy lists those of all packages, the permissive ones too."""
_FAILED = "FAIL"


def parse(path: Path, deadline: Deadline) -> ParsedEvidence:
    """Pass if Trivy found nothing. Raises Unreadable."""
    return parsed_trivy(read_json(path, deadline), deadline)


def parsed_trivy(document: Any, deadline: Deadline) -> ParsedEvidence:
    """Evaluate a parsed report: vulnerabilities once per package, failed checks of configurations, and secrets.

    Raises Unreadable.
    """
    found: Counter[str] = Counter()
    for result in _results(document):
        for finding in _findings(result):
            deadline.check()
            found[_severity(finding)] += 1
    return parsed_findings(found, ())


def _results(document: Any) -> Iterator[Mapping[str, Any]]:
    version = as_object(document).get("SchemaVersion")
    if version != _VERSION or isinstance(version, bool):
        raise Unreadable(f"Trivy's schema version {shown(str(version))} is not supported, only {_VERSION}")
    if not as_text(document.get("ArtifactName")):
        raise Unreadable("The file is not a report of Trivy: it does not say what was scanned")
    return _listed(document, "Results")


def _findings(result: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name in _LISTS:
        for finding in _listed(result, name):
            if name != "Misconfigurations" or finding.get("Status", _FAILED) == _FAILED:
                yield finding


def _listed(parent: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a list, which may be missing or null."""
    listed = parent.get(name)
    if listed is not None and not (isinstance(listed, list) and all(isinstance(one, dict) for one in listed)):
        raise Unreadable(f"{name} of Trivy's report is not a list of objects")
    yield from listed or ()


def _severity(finding: Mapping[str, Any]) -> str:
    severity = as_text(finding.get("Severity")).lower()
    return severity if severity in SCALE else "unknown"
