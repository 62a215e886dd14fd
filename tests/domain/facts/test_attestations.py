"""Which of an attestation's results decides."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.facts.attestations import Result, ResultStatus, deciding

PASSED, FAILED, PENDING = ResultStatus.PASSED, ResultStatus.FAILED, ResultStatus.PENDING


def results(report: ResultStatus, *later: tuple[str | None, ResultStatus]) -> list[Result]:
    return [Result(1, report), *(Result(n, status, file) for n, (file, status) in enumerate(later, 2))]


@pytest.mark.parametrize(
    ("report", "later", "n"),
    [
        pytest.param(PENDING, [], 1, id="the report alone"),
        pytest.param(FAILED, [("a", PASSED)], 1, id="a file does not overrule a failure"),
        pytest.param(FAILED, [("a", FAILED)], 2, id="of equally bad ones the newest"),
        pytest.param(PASSED, [("a", FAILED)], 2, id="a file may be worse than the report"),
        pytest.param(PASSED, [("a", PENDING)], 2, id="or not known yet"),
        pytest.param(PASSED, [("a", PASSED)], 2, id="a file says more than the report"),
        pytest.param(PENDING, [("a", PASSED)], 2, id="pending gives way to a file"),
        pytest.param(PENDING, [("a", FAILED), ("b", PASSED)], 2, id="the worst file, not the last"),
        pytest.param(PENDING, [("a", FAILED), ("a", PASSED)], 3, id="a file of the same name replaces"),
        pytest.param(PENDING, [("a", PASSED), ("b", PASSED), ("a", FAILED)], 4, id="for the worse as well"),
        pytest.param(FAILED, [("a", FAILED), (None, PASSED), ("b", FAILED)], 3, id="an override decides"),
        pytest.param(FAILED, [(None, PASSED), (None, FAILED)], 3, id="the newest override"),
    ],
)
def test_the_table(report: ResultStatus, later: list[tuple[str | None, ResultStatus]], n: int) -> None:
    assert deciding(results(report, *later)).n == n


statuses = st.sampled_from(ResultStatus)


@given(statuses, st.dictionaries(st.sampled_from("abcd"), statuses), st.randoms())
def test_files_of_different_names_may_come_in_any_order(
    report: ResultStatus, files: dict[str, ResultStatus], random: Random
) -> None:
    shuffled = list(files.items())
    random.shuffle(shuffled)
    assert deciding(results(report, *files.items())).status == deciding(results(report, *shuffled)).status


@given(statuses, st.lists(st.tuples(st.sampled_from("ab"), statuses)))
def test_a_failed_report_stays_failed(report: ResultStatus, files: list[tuple[str, ResultStatus]]) -> None:
    assert deciding(results(FAILED, *files)).status is FAILED
    if deciding(results(report, *files)).status is PASSED:
        assert FAILED not in {report, *dict(files).values()}
