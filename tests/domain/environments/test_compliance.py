"""The state of a whole, out of those of its parts."""

import pytest

from domain.environments.compliance import ComplianceState, worst

GOOD, BAD, UNKNOWN = ComplianceState.COMPLIANT, ComplianceState.NON_COMPLIANT, ComplianceState.UNKNOWN


@pytest.mark.parametrize(
    ("states", "whole"),
    [
        ([], UNKNOWN),
        ([GOOD, GOOD], GOOD),
        ([GOOD, UNKNOWN], UNKNOWN),
        ([GOOD, UNKNOWN, BAD], BAD),
        ([BAD], BAD),
    ],
)
def test_the_worst_part_counts(states: list[ComplianceState], whole: ComplianceState) -> None:
    assert worst(iter(states)) is whole
