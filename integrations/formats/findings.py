"""The outcome of a scanner's report: it passes without findings, and without doubts about the scan itself."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from integrations.formats.parsed import ParsedEvidence

SCALE = ("critical", "high", "medium", "low")


def parsed_findings(
    found: Counter[str], doubts: Sequence[str], undecided: Sequence[str] = (), **further: Any
) -> ParsedEvidence:
    """Make the outcome of findings, counted by severity.

    `doubts` are reasons not to pass even without findings, `undecided` reasons to be PENDING without both. The details
    always contain the four severities of the scale, and others such as `unknown` if there are any.
    """
    total = found.total()
    severities = dict.fromkeys(SCALE, 0) | dict(found)
    reasons = [f"Findings: {_listed(severities)}"] if total else []
    good = None if undecided else True
    return ParsedEvidence(
        passed=False if total or doubts else good,
        details={"vulnerabilities": total, "severities": severities, **further},
        reason="; ".join([*reasons, *doubts, *undecided]) or None,
        doubt="; ".join([*doubts, *undecided]) or None,
    )


def _listed(severities: dict[str, int]) -> str:
    return ", ".join(f"{count} {severity}" for severity, count in severities.items() if count)
