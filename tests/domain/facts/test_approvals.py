"""What decided approvals say: of an artifact, of a trail, and in the judgement of both."""

from datetime import timedelta
from uuid import UUID

import pytest

from domain.facts.approvals import ApprovalOutcome, Resolution, Standing, standing, trail_standing
from domain.facts.assertions import assess
from domain.facts.evaluation import Asked, Candidate, trail_status
from domain.facts.requirements import RequirementSet
from tests.domain.facts.evidence import APP, DIGEST, NOON, OTHER, newest

PLACE = UUID(int=9)


def outcome(
    how: str, minute: int = 0, digest: str | None = None, place: UUID | None = None, *roles: str
) -> ApprovalOutcome:
    """One that was decided some minutes after noon; the minute makes its id."""
    at = NOON + timedelta(minutes=minute)
    return ApprovalOutcome(UUID(int=minute), UUID(int=1), Resolution(how), digest, place, roles, at)


YES, NO = outcome("APPROVED", 1), outcome("REJECTED", 2)
OF_DIGEST, OF_OTHER = outcome("APPROVED", 3, DIGEST), outcome("REJECTED", 4, OTHER)
THERE = outcome("REJECTED", 5, None, PLACE)
BY_ADMIN = outcome("APPROVED", 6, None, None, "member", "admin", "CAB")

CASES = {
    "none": ([], None, (), Standing.MISSING),
    "approved": ([YES], None, (), Standing.GRANTED),
    "rejected later": ([NO, YES], None, (), Standing.REJECTED),
    "of another artifact": ([OF_OTHER], None, (), Standing.MISSING),
    "of this artifact": ([NO, OF_DIGEST], None, (), Standing.GRANTED),
    "elsewhere": ([THERE, YES], None, (), Standing.GRANTED),
    "there": ([THERE, YES], PLACE, (), Standing.REJECTED),
    "by the role": ([BY_ADMIN], None, ("ADMIN", "cab"), Standing.GRANTED),
    "not by the role": ([BY_ADMIN], None, ("auditor",), Standing.MISSING),
}


@pytest.mark.parametrize("case", CASES)
def test_of_an_artifact(case: str) -> None:
    outcomes, place, roles, expected = CASES[case]
    assert standing(outcomes, DIGEST, place, roles=roles)[0] is expected


OF_TRAILS = {
    "without artifacts": ([YES], [], Standing.GRANTED),
    "for all artifacts": ([YES], [DIGEST, OTHER], Standing.GRANTED),
    "for one of two": ([OF_DIGEST], [DIGEST, OTHER], Standing.MISSING),
    "one of two was rejected": ([YES, OF_OTHER], [DIGEST, OTHER], Standing.REJECTED),
    "each": ([OF_DIGEST, outcome("APPROVED", 8, OTHER)], [DIGEST, OTHER], Standing.GRANTED),
    "of one environment": ([outcome("APPROVED", 8, None, PLACE)], [DIGEST], Standing.MISSING),
}


@pytest.mark.parametrize("case", OF_TRAILS)
def test_of_a_trail(case: str) -> None:
    outcomes, digests, expected = OF_TRAILS[case]
    assert trail_standing(outcomes, digests) is expected


def asked(*kinds: str, approval: bool = True, roles: tuple[str, ...] = ()) -> Asked:
    return Asked(RequirementSet.of_types(kinds), approval, "payments", (), roles)


STATUSES = {
    "approved and passed": (asked("BUILD"), ["PASSED"], [YES], "COMPLIANT"),
    "approved, and nothing else is required": (asked(), [], [YES], "COMPLIANT"),
    "approved too early": (asked("BUILD"), [], [YES], "PENDING"),
    "passed, not approved": (asked("BUILD"), ["PASSED"], [], "PENDING"),
    "rejected": (asked("BUILD"), ["PASSED"], [NO], "NON_COMPLIANT"),
    "rejected before anything was reported": (asked("BUILD"), [], [NO], "NON_COMPLIANT"),
    "approved and failed": (asked("BUILD"), ["FAILED"], [YES], "NON_COMPLIANT"),
    "approved without the role": (asked("BUILD", roles=("ciso",)), ["PASSED"], [YES], "PENDING"),
    "rejected, and no approval is required": (asked("BUILD", approval=False), ["PASSED"], [NO], "COMPLIANT"),
}


@pytest.mark.parametrize("case", STATUSES)
def test_status_of_a_trail(case: str) -> None:
    flow, results, outcomes, expected = STATUSES[case]
    latest = [newest("BUILD", status) for status in results]
    assert trail_status(flow, latest, [], outcomes) == expected


@pytest.mark.parametrize(
    ("outcomes", "details"),
    [
        ([], "an approval is required and none was granted"),
        ([NO], f"the approval {NO.id} was rejected"),
        ([YES], f"the approval {YES.id} lacks somebody with the role admin"),
        ([BY_ADMIN], "all required attestations passed"),
        ([NO, BY_ADMIN], "all required attestations passed"),
    ],
)
def test_an_assertion_says_what_is_wrong_with_the_approval(outcomes: list[ApprovalOutcome], details: str) -> None:
    found = assess(asked("BUILD", roles=("admin",)), [newest("BUILD")], APP, outcomes)
    assert found.details == details
    assert (found.outcome == "COMPLIANT") is (details == "all required attestations passed")


def test_where_no_approval_is_required_none_is_looked_at() -> None:
    found = assess(asked("BUILD", approval=False), [newest("BUILD")], Candidate("app", DIGEST), [NO])
    assert (found.outcome, found.approval) == ("COMPLIANT", None)
