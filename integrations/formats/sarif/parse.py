"""SARIF, the common report format of static analysis and image scanners (OASIS SARIF 2.1.0).

Errors and warnings fail a report. Notes, and results of the level `none`, do not, whatever their score. A result that
waits for a person's judgement (`open`, `review`) leaves it undecided.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from integrations.formats.findings import parsed_findings
from integrations.formats.json_files import as_array, as_object, as_text, read_json
from integrations.formats.parsed import Deadline, ParsedEvidence, Unreadable, shown
from integrations.formats.sarif.rules import Rules

_VERSION = "2.1.0"
_NOT_FOUND = ("pass", "notApplicable", "informational")
_UNDECIDED = ("open", "review")
_NOTES = ("note", "none")
_OF_LEVEL = {"error": "high", "warning": "medium"}
_FROM_SCORE = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"))
_NOTIFICATIONS = ("toolExecutionNotifications", "toolConfigurationNotifications")


def parse(path: Path, deadline: Deadline) -> ParsedEvidence:
    """Pass if no run has a result that counts. Raises Unreadable."""
    return parsed_sarif(read_json(path, deadline), deadline)


def parsed_sarif(document: Any, deadline: Deadline) -> ParsedEvidence:
    """Evaluate a parsed report.

    Results do not count if they are suppressed, absent since the baseline, or not a finding (`kind`). A run whose tool
    did not succeed or reports an error of its own proves nothing, so it cannot pass. Raises Unreadable.
    """
    tally = _Tally()
    for run in _runs(document):
        tally.doubts |= dict.fromkeys(_doubts(run))
        rules = Rules(run)
        for result in map(as_object, run["results"]):
            deadline.check()
            tally.add(result, rules)
    notes = {"notes": tally.notes} if tally.notes else {}
    undecided = [f"Results that wait for a person's judgement: {tally.undecided}"] if tally.undecided else []
    return parsed_findings(tally.found, list(tally.doubts), undecided, **notes)


def _runs(document: Any) -> Iterator[Mapping[str, Any]]:
    runs = as_object(document).get("runs")
    if not isinstance(runs, list):
        raise Unreadable("The file is not SARIF: it has no list of runs")
    version = document.get("version", _VERSION)
    if version != _VERSION and not as_text(version).startswith(f"{_VERSION}-"):
        raise Unreadable(f"SARIF version {shown(str(version))} is not supported, only {_VERSION}")
    if not runs:
        raise Unreadable("The SARIF file has no run: nothing was analysed")
    for run in runs:
        if not isinstance(as_object(run).get("results"), list):
            raise Unreadable("The SARIF file has a run without results: nothing was analysed")
        yield run


def _doubts(run: Mapping[str, Any]) -> Iterator[str]:
    """Yield the reasons why a run proves nothing."""
    for invocation in map(as_object, as_array(run.get("invocations"))):
        if invocation.get("executionSuccessful") is False:
            yield "The tool reports that its run did not succeed"
        notifications = (as_object(one) for name in _NOTIFICATIONS for one in as_array(invocation.get(name)))
        error = next((one for one in notifications if one.get("level") == "error"), None)
        if error is not None:
            text = as_text(as_object(error.get("message")).get("text"))
            yield f"The tool reports an error of its own: {shown(text) or '(no text)'}"
    if "results" in as_object(run.get("externalPropertyFileReferences")):
        yield "The results are in other files"


@dataclass(slots=True)
class _Tally:
    """What was found so far: results that fail the report by severity, and the number of others."""

    found: Counter[str] = field(default_factory=Counter)
    notes: int = 0
    undecided: int = 0
    doubts: dict[str, None] = field(default_factory=dict)

    def add(self, result: Mapping[str, Any], rules: Rules) -> None:
        if result.get("kind") in _NOT_FOUND or result.get("baselineState") == "absent" or _is_suppressed(result):
            return
        if result.get("kind") in _UNDECIDED:
            self.undecided += 1
            return
        level = rules.level_of(result)
        if level in _NOTES:
            self.notes += 1
        else:
            self.found[_severity(level, result, rules.of(result))] += 1


def _is_suppressed(result: Mapping[str, Any]) -> bool:
    """Whether there are suppressions, all accepted: none under review or rejected (SARIF 3.35.3)."""
    suppressions = as_array(result.get("suppressions"))
    return bool(suppressions) and all(
        isinstance(suppression, dict) and suppression.get("status", "accepted") == "accepted"
        for suppression in suppressions
    )


def _severity(level: str, result: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    scores = (_score(as_object(source.get("properties")).get("security-severity")) for source in (result, rule))
    score = next((score for score in scores if score is not None), None)
    if score is not None:
        return next((name for least, name in _FROM_SCORE if score >= least), "low" if score > 0 else "none")
    return _OF_LEVEL.get(level, "medium")


def _score(value: Any) -> float | None:
    """Parse a CVSS-like score, a number that GitHub requires to be text."""
    try:
        score = float(value) if isinstance(value, str | int | float) else None
    except ValueError:
        return None
    return score if score is not None and isfinite(score) else None
