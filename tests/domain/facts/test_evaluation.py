"""What a trail's status follows from, as a table."""

from datetime import UTC, datetime
from random import Random
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.facts.attestations import ResultStatus
from domain.facts.evaluation import Asked, LatestResult, trail_status
from domain.facts.requirements import RequirementSet
from domain.facts.trails import TrailStatus

PASSED, FAILED, PENDING = ResultStatus.PASSED, ResultStatus.FAILED, ResultStatus.PENDING
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def newest(kind: str, status: ResultStatus) -> LatestResult:
    """Every one of an identity of its own."""
    return LatestResult(f"identity-{uuid4()}", None, kind, "", "", status, NOON, uuid4(), 1)


def asked(types: list[str] | tuple[str, ...], *, approval: bool = False) -> Asked:
    return Asked(RequirementSet.of_types(types), approval, "flow")


@pytest.mark.parametrize(
    ("required", "latest", "expected"),
    [
        ((), [], TrailStatus.PENDING),
        ((), [("TEST", PASSED)], TrailStatus.COMPLIANT),
        ((), [("TEST", PENDING)], TrailStatus.PENDING),
        ((), [("TEST", FAILED)], TrailStatus.NON_COMPLIANT),
        ((), [("TEST", PASSED), ("LINT", PENDING)], TrailStatus.COMPLIANT),
        (("BUILD",), [], TrailStatus.PENDING),
        (("BUILD",), [("TEST", PASSED)], TrailStatus.PENDING),
        (("BUILD",), [("BUILD", PASSED)], TrailStatus.COMPLIANT),
        (("BUILD",), [("BUILD", PENDING)], TrailStatus.PENDING),
        (("BUILD",), [("BUILD", PASSED), ("BUILD", PENDING)], TrailStatus.PENDING),
        (("BUILD",), [("BUILD", PASSED), ("BUILD", FAILED)], TrailStatus.NON_COMPLIANT),
        (("BUILD",), [("BUILD", PASSED), ("TEST", FAILED)], TrailStatus.NON_COMPLIANT),
        (("BUILD", "TEST"), [("BUILD", PASSED)], TrailStatus.PENDING),
        (("BUILD", "TEST"), [("BUILD", PASSED), ("TEST", PASSED)], TrailStatus.COMPLIANT),
        (("build",), [("BUILD", PASSED)], TrailStatus.PENDING),
    ],
)
def test_the_table(required: tuple[str, ...], latest: list[tuple[str, ResultStatus]], expected: TrailStatus) -> None:
    assert trail_status(asked(required), [newest(*one) for one in latest], ()) == expected


latest = st.lists(st.builds(newest, st.sampled_from("ABC"), st.sampled_from(ResultStatus)), max_size=6)


@given(st.lists(st.sampled_from("ABC"), unique=True), latest, st.randoms())
def test_the_order_of_reports_does_not_matter(required: list[str], found: list[LatestResult], random: Random) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)
    assert trail_status(asked(required), found, ()) == trail_status(asked(required), shuffled, ())


@given(st.lists(st.sampled_from("ABC"), unique=True), latest)
def test_an_outstanding_approval_is_never_compliant(required: list[str], found: list[LatestResult]) -> None:
    assert trail_status(asked(required, approval=True), found, ()) != TrailStatus.COMPLIANT


@given(st.lists(st.sampled_from("ABC"), unique=True), latest)
def test_compliant_means_every_required_type_passed_and_nothing_failed(
    required: list[str], found: list[LatestResult]
) -> None:
    if trail_status(asked(required), found, ()) == TrailStatus.COMPLIANT:
        assert not [one for one in found if one.status == FAILED]
        assert set(required) <= {one.type for one in found if one.status == PASSED}
