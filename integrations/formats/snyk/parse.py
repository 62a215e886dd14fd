"""The reports of `snyk test`, `snyk container test` and `snyk iac test` with --json, and Snyk's SARIF.

JSON reports are one object for a project or an array for several (--all-projects). The object for an image also lists
the applications found inside it.
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
    """Pass if Snyk found nothing, in either of its formats. Raises Unreadable."""
    document = read_json(path, deadline)
    evaluate = parsed_sarif if "runs" in as_object(document) else parsed_snyk
    return evaluate(document, deadline)


def parsed_snyk(document: Any, deadline: Deadline) -> ParsedEvidence:
    """Evaluate a parsed report: pass if no project has an issue and none reports that it is not `ok`.

    Vulnerabilities and licence issues both count, once per dependency path. Issues that a policy ignores are listed in
    `filtered` and do not count. Raises Unreadable.
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
    doubts = ["Snyk reports that the project is not ok"] if refused and not found else []
    return parsed_findings(found, doubts, licenses=licenses, projects=projects)


def _projects(document: Any) -> Iterator[Mapping[str, Any]]:
    pending = list(document) if isinstance(document, list) else [document]
    if not pending:
        raise Unreadable("The file contains no Snyk project: nothing was tested")
    while pending:
        project = as_object(pending.pop())
        if "error" in project:
            raise Unreadable("Snyk reports an error instead of a result")
        if not isinstance(project.get("vulnerabilities"), list):
            raise Unreadable("The file is neither SARIF nor Snyk's JSON: it has no list of vulnerabilities")
        pending.extend(as_array(project.get("applications")))
        yield project


def _issues(project: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (as_object(issue) for name in _LISTS for issue in as_array(project.get(name)))


def _severity(issue: Mapping[str, Any]) -> str:
    severity = as_text(issue.get("severityWithCritical")) or as_text(issue.get("severity"))
    return severity.lower() if severity.lower() in SCALE else "unknown"


def _is_license(issue: Mapping[str, Any]) -> bool:
    return issue.get("type") == "license" or as_text(issue.get("id")).startswith("snyk:lic:")
