"""SonarQube's quality gate: the response of `api/qualitygates/project_status`, or the body of its webhook."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from integrations.formats.json_files import as_array, as_object, as_text, read_json
from integrations.formats.parsed import Deadline, ParsedEvidence, Unreadable, shown

_GOOD = ("OK", "PASSED")
_ANALYSED = ("SUCCESS", *_GOOD)
_NO_GATE = ("", "SUCCESS")
_SHOWN_CONDITIONS = 10


def parse(path: Path, deadline: Deadline) -> ParsedEvidence:
    """Pass if the quality gate is OK or PASSED, in upper or lower case. Raises Unreadable."""
    document = as_object(read_json(path, deadline))
    gate = _gate(document)
    status = as_text(gate.get("status"))
    if status.upper() in _NO_GATE:
        raise Unreadable("The file has no status of a quality gate")
    if status.upper() in _GOOD:
        return ParsedEvidence(passed=True, details={"qualityGateStatus": shown(status)})
    failed = _failed_conditions(gate)
    reason = f"The quality gate is {shown(status)}" + (f": {', '.join(failed[:3])}" if failed else "")
    details = {"qualityGateStatus": shown(status), "failedConditions": failed}
    return ParsedEvidence(passed=False, details=details, reason=reason)


def _gate(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the object with the gate's status; in a webhook, the root's status is that of the analysis."""
    if "projectStatus" in document:
        return as_object(document["projectStatus"])
    if "qualityGate" not in document:
        return document
    if as_text(document.get("status", "SUCCESS")).upper() not in _ANALYSED:
        raise Unreadable("The analysis did not succeed")
    return as_object(document["qualityGate"])


def _failed_conditions(gate: Mapping[str, Any]) -> list[str]:
    conditions = [as_object(condition) for condition in as_array(gate.get("conditions"))]
    failed = [condition for condition in conditions if as_text(condition.get("status")).upper() == "ERROR"]
    return [shown(as_text(found.get("metricKey", found.get("metric")))) for found in failed[:_SHOWN_CONDITIONS]]
