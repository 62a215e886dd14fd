"""What `snyk test`, `snyk container test` and `snyk iac test` write with --json, or any of Snyk's SARIF.

One object for a project, an array for several (--all-projects), and for an image the applications found inside it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from integrations.formats.findings import SCALE, parsed_findings
from integrations.formats.json_files import as_array, as_object, as_text, read_json
from integrations.formats.parsed import Deadline, ParsedEvidence, Unreadable
from integrations.formats.sarif.parse import parsed_sarif

_LISTS = ("vulnerabilities", "infrastructureAsCodeIssues")


def parse(path: Path, deadline: Deadline) -> ParsedEvidence:
    """Passed when Snyk found nothing, in either of its formats. Raises Unreadable."""
    document = read_json(path, deadline)
    reading_of = parsed_sarif if "runs" in as_object(document) else parsed_snyk
    return reading_of(document, deadline)


def parsed_snyk(document: Any, deadline: Deadline) -> ParsedEvidence:
    """The reading of a parsed report: passed when no project has an issue, and none says that it is not `ok`.

    Vulnerabilities and licences count alike, once for each path that leads to them. What a policy ignores stands under
    `filtered` and does not count. Raises Unreadable.
    """
    found: Counter[str] = Counter()
    licenses = projects = refused = 0
    for project in _projects(document):
        projects += 1
        refused += project.get("ok", True) is not True
        for issue in _issues(project):
            deadline.check()
            found[_severity(issue)] += 1
            licenses += _is_license(issue)
    doubts = ["Snyk says that the project is not ok"] if refused and not found else []
    return parsed_findings(found, doubts, licenses=licenses, projects=projects)


def _projects(document: Any) -> Iterator[Mapping[str, Any]]:
    pending = list(document) if isinstance(document, list) else [document]
    if not pending:
        raise Unreadable("The file holds no Snyk project: nothing was tested")
    while pending:
        project = as_object(pending.pop())
        if "error" in project:
            raise Unreadable("Snyk reports an error in place of a result")
        if not isinstance(project.get("vulnerabilities"), list):
            raise Unreadable("The file is neither SARIF nor Snyk's: it has no list of vulnerabilities")
        pending.extend(as_array(project.get("applications")))
        yield project


def _issues(project: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (as_object(issue) for name in _LISTS for issue in as_array(project.get(name)))


def _severity(issue: Mapping[str, Any]) -> str:
    severity = as_text(issue.get("severityWithCritical")) or as_text(issue.get("severity"))
    return severity.lower() if severity.lower() in SCALE else "unknown"


def _is_license(issue: Mapping[str, Any]) -> bool:
    return issue.get("type") == "license" or as_text(issue.get("id")).startswith("snyk:lic:")
