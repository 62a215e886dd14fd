"""Compliance: what the evidence says about what runs."""

from collections.abc import Iterable
from enum import StrEnum


class ComplianceState(StrEnum):
    """Whether what runs has the evidence that it needs."""

    COMPLIANT = "COMPLIANT"
    NON_COMPLIANT = "NON_COMPLIANT"
    UNKNOWN = "UNKNOWN"


def worst(states: Iterable[ComplianceState]) -> ComplianceState:
    """Return the state of a whole: that of its worst part; UNKNOWN is worse than COMPLIANT, and is that of nothing."""
    found = set(states)
    if ComplianceState.NON_COMPLIANT in found:
        return ComplianceState.NON_COMPLIANT
    return ComplianceState.COMPLIANT if found == {ComplianceState.COMPLIANT} else ComplianceState.UNKNOWN
