"""The verdict of every scanner's report: nothing found, and nothing that stands against the scan itself."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from integrations.formats.parsed import ParsedEvidence

SCALE = ("critical", "high", "medium", "low")


def parsed_findings(found: Counter[str], doubts: Sequence[str], **further: Any) -> ParsedEvidence:
    """The reading of findings counted by severity; `doubts` are sentences that forbid a pass even without any.

    The four severities of the scale are always among the details, others such as `unknown` where there are some.
    """
    total = found.total()
    severities = dict.fromkeys(SCALE, 0) | dict(found)
    reasons = [f"Findings: {_listed(severities)}"] if total else []
    return ParsedEvidence(
        passed=not total and not doubts,
        details={"vulnerabilities": total, "severities": severities, **further},
        reason="; ".join([*reasons, *doubts]) or None,
    )


def _listed(severities: dict[str, int]) -> str:
    return ", ".join(f"{count} {severity}" for severity, count in severities.items() if count)
