"""SARIF, the common report format of static analysis and image scanners (OASIS SARIF 2.1.0)."""

from collections import Counter
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from integrations.formats.findings import parsed_findings
from integrations.formats.json_files import as_array, as_object, as_text, read_json
from integrations.formats.parsed import Deadline, ParsedEvidence, Unreadable, shown

_NOT_FOUND = ("pass", "notApplicable", "informational")
_OF_LEVEL = {"error": "high", "warning": "medium", "note": "low", "none": "none"}
_FROM_SCORE = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"))


def parse(path: Path, deadline: Deadline) -> ParsedEvidence:
    """Pass if no run has a result that counts. Raises Unreadable."""
    return parsed_sarif(read_json(path, deadline), deadline)


def parsed_sarif(document: Any, deadline: Deadline) -> ParsedEvidence:
    """Evaluate a parsed report.

    Results do not count if they are suppressed, absent since the baseline, or not a finding (`kind`). A run whose tool
    did not succeed proves nothing, so it cannot pass. Raises Unreadable.
    """
    found: Counter[str] = Counter()
    doubts: list[str] = []
    for run in _runs(document):
        found.update(_severities(run, deadline))
        if any(as_object(call).get("executionSuccessful") is False for call in as_array(run.get("invocations"))):
            doubts = ["The tool reports that its run did not succeed"]
    return parsed_findings(found, doubts)


def _runs(document: Any) -> Iterator[Mapping[str, Any]]:
    runs = as_object(document).get("runs")
    if not isinstance(runs, list):
        raise Unreadable("The file is not SARIF: it has no list of runs")
    version = document.get("version", "2.1.0")
    if not as_text(version).startswith("2."):
        raise Unreadable(f"SARIF version {shown(str(version))} is not supported, only 2.1.0")
    if not runs:
        raise Unreadable("The SARIF file has no run: nothing was analysed")
    for run in runs:
        if not isinstance(as_object(run).get("results"), list):
            raise Unreadable("The SARIF file has a run without results: nothing was analysed")
        yield run


def _severities(run: Mapping[str, Any], deadline: Deadline) -> Iterator[str]:
    rules = _Rules(as_object(run.get("tool")))
    for result in map(as_object, run["results"]):
        deadline.check()
        if _counts(result):
            yield _severity(result, rules.of(result))


def _counts(result: Mapping[str, Any]) -> bool:
    gone = result.get("kind") in _NOT_FOUND or result.get("baselineState") == "absent"
    return not gone and not _is_suppressed(result)


def _is_suppressed(result: Mapping[str, Any]) -> bool:
    """Whether there are suppressions, all accepted: none under review or rejected (SARIF 3.35.3)."""
    suppressions = as_array(result.get("suppressions"))
    return bool(suppressions) and all(
        isinstance(suppression, dict) and suppression.get("status", "accepted") == "accepted"
        for suppression in suppressions
    )


def _severity(result: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    scores = (_score(as_object(source.get("properties")).get("security-severity")) for source in (result, rule))
    score = next((score for score in scores if score is not None), None)
    if score is not None:
        return next((name for least, name in _FROM_SCORE if score >= least), "low" if score > 0 else "none")
    by_default = as_object(rule.get("defaultConfiguration")).get("level")
    return _OF_LEVEL.get(as_text(result.get("level", by_default)), "medium")


def _score(value: Any) -> float | None:
    """Parse a CVSS-like score, a number that GitHub requires to be text."""
    try:
        score = float(value) if isinstance(value, str | int | float) else None
    except ValueError:
        return None
    return score if score is not None and isfinite(score) else None


class _Rules:
    """The rules of a tool and its extensions, looked up by a result's reference (SARIF 3.27.5 to 3.27.7, 3.52.4)."""

    def __init__(self, tool: Mapping[str, Any]) -> None:
        self._driver = as_array(as_object(tool.get("driver")).get("rules"))
        self._extensions = [as_array(as_object(part).get("rules")) for part in as_array(tool.get("extensions"))]
        rules = (as_object(rule) for part in (self._driver, *self._extensions) for rule in part)
        self._by_id = {as_text(rule.get("id")): rule for rule in rules}

    def of(self, result: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the rule of a result; an empty one if the report does not describe it."""
        reference = as_object(result.get("rule"))
        place = _place(as_object(reference.get("toolComponent")).get("index"), self._extensions)
        component = self._driver if place is None else self._extensions[place]
        index = _place(reference.get("index", result.get("ruleIndex")), component)
        if index is not None:
            return as_object(component[index])
        return self._named(as_text(result.get("ruleId", reference.get("id"))))

    def _named(self, rule_id: str) -> Mapping[str, Any]:
        """Look up the complete id, else its part before the last slash: ids may be hierarchical (SARIF 3.27.5)."""
        return self._by_id.get(rule_id) or self._by_id.get(rule_id.rpartition("/")[0], {})


def _place(index: Any, items: list[Any]) -> int | None:
    known = isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(items)
    return index if known else None
