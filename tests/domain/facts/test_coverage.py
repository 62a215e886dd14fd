"""What coverage passes, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.canonical import normalise
from domain.facts.coverage import Coverage

Percent = st.none() | st.floats(0, 100)
coverages = st.builds(
    Coverage, st.just("tool"), Percent, Percent, Percent, st.none() | st.text(), st.none() | st.text()
)


@pytest.mark.parametrize(
    ("line", "branch", "minimum", "passed"),
    [
        (None, None, None, True),
        (0, 0, None, True),
        (85, None, 80, True),
        (70, None, 80, False),
        (80, None, 80, True),
        (79.999, None, 80, False),
        (None, 85, 80, True),
        (None, 70, 80, False),
        (85, 70, 80, False),
        (70, 85, 80, False),
        (85, 85, 80, True),
        (None, None, 80, False),
        (None, None, 0, False),
        (0, None, 0, True),
        (100, 100, 100, True),
    ],
)
def test_the_table(line: float | None, branch: float | None, minimum: float | None, passed: bool) -> None:
    assert Coverage("jacoco", line, branch, minimum).passed is passed


@pytest.mark.parametrize(
    ("coverage", "told"),
    [
        (Coverage("jacoco"), "jacoco: no metrics: passed"),
        (Coverage("jacoco", minimum=80), "jacoco: minimum 80 %: failed"),
        (Coverage("lcov", 85.25, 70, 80), "lcov: line 85.25 %, branch 70 %, minimum 80 %: failed"),
        (Coverage("lcov", branch=100.0), "lcov: branch 100 %: passed"),
    ],
)
def test_the_summary_names_what_was_measured(coverage: Coverage, told: str) -> None:
    assert coverage.summary == told


@given(coverages)
def test_a_payload_reads_as_it_was_written_even_through_storage(coverage: Coverage) -> None:
    assert Coverage.from_payload(coverage.to_payload()) == coverage
    stored = normalise(coverage.to_payload())
    assert isinstance(stored, dict)
    assert Coverage.from_payload(stored) == coverage


@given(coverages, st.floats(0, 100))
def test_a_higher_minimum_never_helps(coverage: Coverage, lower: float) -> None:
    if coverage.minimum is None or not coverage.passed:
        return
    easier = Coverage(coverage.tool, coverage.line, coverage.branch, min(lower, coverage.minimum))
    assert easier.passed
