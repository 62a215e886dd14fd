"""The rules of approvals as tables: who may decide, and when enough people have."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from domain.errors import Conflict, Forbidden, Invalid
from domain.facts.approvals import Resolution
from domain.gates.approvals import (
    Approval,
    ApprovalRule,
    ApprovalStatus,
    Decider,
    Decision,
    NewApproval,
    author_aliases,
    check_decider,
    check_first,
    check_open,
    check_request,
    reminder_at,
    resolution,
    roles_of,
)

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
APPROVED, REJECTED = Resolution.APPROVED, Resolution.REJECTED


def person(name: str, role: str = "member", *groups: str, also: str = "") -> Decider:
    """Somebody who has a name of their own, and perhaps another one that only commits know."""
    return Decider(name, frozenset({name}), frozenset({name, also or name}), role, frozenset(groups))


ADA, BOB, EVE = person("ada"), person("bob"), person("eve", also="eve lovelace")
ADMIN, CAB = person("root", "admin"), person("cyd", "member", "cab", "sre")
POSER = person("mallory", "viewer", "admin", "role:admin", "name:ada")
"""A member of groups that are called like other things."""


def approval(rule: ApprovalRule = ApprovalRule(), **fields: object) -> Approval:  # noqa: B008 - immutable
    known = Approval(
        id=UUID(int=1),
        org_id=UUID(int=2),
        trail_id=UUID(int=3),
        flow_id=UUID(int=4),
        digest=None,
        environment_id=None,
        status=ApprovalStatus.PENDING_APPROVAL,
        rule=rule,
        comments=None,
        newest_commit=None,
        oldest_commit=None,
        requested_by=UUID(int=5),
        requester="requester",
        requester_name="requester",
        author=("eve lovelace", "eve@example.com"),
        deadline=None,
        created_at=NOON,
        resolved_at=None,
    )
    return replace(known, **fields)  # type: ignore[arg-type]


def decision(rule: ApprovalRule, who: Decider, how: Resolution = APPROVED, *, overrides: bool = False) -> Decision:
    meets = tuple(sorted(rule.marks & who.marks))
    roles = who.roles_for(rule)
    return Decision(
        uuid4(), UUID(int=1), who.key, how, overrides, None, meets, roles, UUID(int=6), who.key, who.key, NOON
    )


MAY = {
    "nobody is named": (ApprovalRule(), ADA, True),
    "the requester": (ApprovalRule(), person("requester"), False),
    "the requester, allowed": (ApprovalRule(allow_requester=True), person("requester"), True),
    "the author by an alias": (ApprovalRule(), EVE, False),
    "the author, allowed": (ApprovalRule(allow_author=True), EVE, True),
    "the author by address": (ApprovalRule(), person("eve@example.com"), False),
    "named": (ApprovalRule(("ada",)), ADA, True),
    "named in capitals": (ApprovalRule(("ADA",)), ADA, True),
    "another one is named": (ApprovalRule(("ada",)), BOB, False),
    "an administrator who is not named": (ApprovalRule(("ada",)), ADMIN, False),
    "a name that only commits know": (ApprovalRule(("Eve Lovelace",), allow_author=True), EVE, False),
    "the requester is named": (ApprovalRule(("requester",)), person("requester"), False),
    "the role": (ApprovalRule(roles=("admin",)), ADMIN, True),
    "another role": (ApprovalRule(roles=("admin",)), ADA, False),
    "named beside a role": (ApprovalRule(("ada",), roles=("admin",)), ADMIN, True),
    "the group": (ApprovalRule(groups=("CAB",)), CAB, True),
    "no such group": (ApprovalRule(groups=("cab",)), ADA, False),
    "a group called like a role": (ApprovalRule(roles=("admin",)), POSER, False),
    "a group called like a person": (ApprovalRule(("ada",)), POSER, False),
    "an approver called like a role": (ApprovalRule(("role:admin", "admin")), ADMIN, False),
}


@pytest.mark.parametrize("case", MAY)
def test_who_may_decide(case: str) -> None:
    rule, who, allowed = MAY[case]
    if allowed:
        check_decider(approval(rule), who)
    else:
        with pytest.raises(Forbidden):
            check_decider(approval(rule), who)


def test_a_refusal_says_what_to_do() -> None:
    for rule, who, message in (
        (ApprovalRule(), person("requester"), "allowRequester"),
        (ApprovalRule(), EVE, "allowAuthor"),
        (
            ApprovalRule(("ada", "bob"), ("admin",), ("cab",)),
            person("x"),
            "Only ada, bob or somebody with the role admin or a member of the group cab may decide this approval.",
        ),
    ):
        with pytest.raises(Forbidden, match=message):
            check_decider(approval(rule), who)


ENDS: dict[str, tuple[ApprovalRule, Sequence[tuple[Decider, Resolution]], Resolution | None]] = {
    "nobody decided": (ApprovalRule(), [], None),
    "one is enough": (ApprovalRule(), [(ADA, APPROVED)], APPROVED),
    "one of two people": (ApprovalRule(minimum=2), [(ADA, APPROVED)], None),
    "two people": (ApprovalRule(minimum=2), [(ADA, APPROVED), (BOB, APPROVED)], APPROVED),
    "the same person twice": (ApprovalRule(minimum=2), [(ADA, APPROVED), (ADA, APPROVED)], None),
    "one of two approvers": (ApprovalRule(("ada", "Bob")), [(ADA, APPROVED)], None),
    "both approvers": (ApprovalRule(("ada", "Bob")), [(BOB, APPROVED), (ADA, APPROVED)], APPROVED),
    "an approver, and no administrator": (ApprovalRule(("ada",), ("admin",)), [(ADA, APPROVED)], None),
    "an approver and an administrator": (
        ApprovalRule(("ada",), ("admin",)),
        [(ADMIN, APPROVED), (ADA, APPROVED)],
        APPROVED,
    ),
    "one person for two groups": (ApprovalRule(groups=("cab", "SRE")), [(CAB, APPROVED)], APPROVED),
    "one person for two groups of two people": (
        ApprovalRule(groups=("cab", "sre"), minimum=2),
        [(CAB, APPROVED)],
        None,
    ),
    "rejected": (ApprovalRule(), [(ADA, REJECTED)], REJECTED),
    "rejected after an approval": (ApprovalRule(minimum=2), [(ADA, APPROVED), (BOB, REJECTED)], REJECTED),
}


@pytest.mark.parametrize("case", ENDS)
def test_when_it_ends(case: str) -> None:
    rule, made, expected = ENDS[case]
    assert resolution(rule, [decision(rule, who, how) for who, how in made]) is expected


def test_an_override_ends_it_whatever_the_rule_and_stands_for_its_roles() -> None:
    rule = ApprovalRule(("ada",), ("reporter",), ("cab",), minimum=9)
    made = [decision(rule, BOB, overrides=True)]
    assert resolution(rule, made) is APPROVED
    assert {"reporter", "service_account", "cab"} <= set(roles_of(rule, made))


def test_roles_are_kept_in_all_spellings_and_groups_only_if_the_rule_names_them() -> None:
    rule = ApprovalRule(groups=("cab",)).requiring(["Service-Account", "SERVICE_ACCOUNT", "cab", "ops"])
    assert (rule.roles, rule.groups) == (("reporter",), ("cab", "Service-Account", "ops"))
    assert roles_of(rule, [decision(rule, CAB), decision(rule, person("ci", "reporter"))]) == (
        "member",
        "cab",
        "reporter",
        "service_account",
    )
    posing = ApprovalRule(groups=("admin",))
    assert "admin" not in roles_of(posing, [decision(posing, POSER)])


def test_a_rule_survives_being_stored() -> None:
    rule = ApprovalRule(("ada",), ("admin",), ("cab",), 3, allow_requester=True)
    assert ApprovalRule.from_json(rule.to_json()) == rule


def test_it_expires_at_its_deadline() -> None:
    due = approval(deadline=NOON + HOUR)
    assert due.status_at(NOON + HOUR - timedelta(microseconds=1)) is ApprovalStatus.PENDING_APPROVAL
    assert due.status_at(NOON + HOUR) is ApprovalStatus.EXPIRED
    assert replace(due, status=ApprovalStatus.APPROVED).status_at(NOON + 2 * HOUR) is ApprovalStatus.APPROVED
    check_open(due, NOON)
    for closed, time in ((due, NOON + HOUR), (approval(status=ApprovalStatus.REJECTED), NOON)):
        with pytest.raises(Conflict):
            check_open(closed, time)
    assert reminder_at(NOON, NOON + 10 * HOUR) == NOON + 8 * HOUR
    assert reminder_at(NOON, None) is None


def test_nobody_decides_twice() -> None:
    made = [decision(ApprovalRule(), ADA)]
    check_first(approval(), BOB, made)
    with pytest.raises(Conflict):
        check_first(approval(), ADA, made)


@pytest.mark.parametrize(
    ("rule", "deadline", "field"),
    [
        (ApprovalRule(), NOON, "deadline"),
        (ApprovalRule(("ada",), minimum=2), None, "minimumApprovals"),
    ],
)
def test_what_cannot_be_fulfilled_is_not_requested(rule: ApprovalRule, deadline: datetime | None, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        check_request(NewApproval(UUID(int=3), "ada", rule, deadline=deadline), NOON)
    assert refused.value.details[0].field == field
    check_request(NewApproval(UUID(int=3), "ada", ApprovalRule(("ada",), ("admin",), minimum=2)), NOON)


@pytest.mark.parametrize(
    ("name", "email"),
    [
        ("Ada Lovelace", "ADA@example.com"),
        ("Ada Lovelace <ada@example.com>", "unknown"),
        ("Ada\N{NO-BREAK SPACE} Lovelace", "<ada@example.com>"),
    ],
)
def test_an_author_is_recognised_however_git_writes_it(name: str, email: str) -> None:
    assert author_aliases(name, email) == ("ada lovelace", "ada@example.com")


def test_an_unknown_author_is_nobody() -> None:
    assert author_aliases(" Ada Lovelace", "ADA@example.com") == ("ada lovelace", "ada@example.com")
    assert author_aliases("unknown", "unknown") == ()
    assert author_aliases("ada", "ada") == ("ada",)
