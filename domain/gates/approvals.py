"""Approvals: what people have to agree to, who may decide, and when enough of them have agreed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from domain.errors import Conflict, Forbidden, Invalid
from domain.facts.approvals import Resolution
from domain.facts.trails import UNKNOWN
from domain.identity.permissions import SPELLINGS

MAX_NAMED = 50
"""Approvers, roles or groups that one approval names."""
_PARTS_OF_AUTHOR = re.compile("[<>]")
_REMINDED_AFTER = 0.8
"""The part of the time until the deadline after which people are reminded."""


class ApprovalStatus(StrEnum):
    """What became of an approval."""

    PENDING_APPROVAL = "PENDING_APPROVAL"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """Who has to approve: every one of `approvers`, somebody of every role and group, `minimum` people in all.

    An approver is named by the id, the e-mail address or the username of a principal. Where anybody is named, nobody
    else may decide. The requester and the author of the commit may not decide either, unless they are allowed to.
    """

    approvers: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    minimum: int = 1
    allow_requester: bool = False
    allow_author: bool = False

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned."""
        given: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in stored.items()}
        return cls(**given)

    def to_json(self) -> dict[str, Any]:
        """Return the form that is stored and sealed."""
        return {
            "approvers": list(self.approvers),
            "roles": list(self.roles),
            "groups": list(self.groups),
            "minimum": self.minimum,
            "allow_requester": self.allow_requester,
            "allow_author": self.allow_author,
        }

    def requiring(self, names: Iterable[str]) -> "ApprovalRule":
        """Return the same rule with further roles; a name that is no role is that of a group."""
        roles, groups = list(self.roles), list(self.groups)
        for name in names:
            role = role_named(name)
            (groups if role is None else roles).append(role or name)
        return replace(self, roles=tuple(dict.fromkeys(roles)), groups=tuple(dict.fromkeys(groups)))

    @property
    def named(self) -> list[str]:
        """Everybody whom it names, as people are told."""
        return [*self.approvers, *self.roles, *self.groups]

    @property
    def marks(self) -> frozenset[str]:
        """The marks of those whom it names; each of them has to be met. See `Decider.marks`."""
        return frozenset(
            (*map(_name_mark, self.approvers), *map(_role_mark, self.roles), *map(_group_mark, self.groups))
        )


def role_named(name: str) -> str | None:
    """Return the role that a name stands for, in any of its spellings; None if it is no role."""
    return SPELLINGS.get(name.strip().upper())


def _spellings(role: str) -> list[str]:
    return [role, *(name.lower() for name, one in SPELLINGS.items() if one == role)]


@dataclass(frozen=True, slots=True)
class Decider:
    """Somebody who wants to decide.

    `key` tells people apart: the id of the principal or, without authentication, the name that the request claims.
    `names` are what a rule may call them, `aliases` what a commit may. All of these are in lower case.
    """

    key: str
    names: frozenset[str]
    aliases: frozenset[str]
    role: str
    groups: frozenset[str] = frozenset()

    @property
    def marks(self) -> frozenset[str]:
        """What a rule may know them by: their names, their role and their groups, which cannot be mistaken."""
        return frozenset((*map(_name_mark, self.names), _role_mark(self.role), *map(_group_mark, self.groups)))

    def roles_for(self, rule: ApprovalRule) -> tuple[str, ...]:
        """Return the role in all its spellings, and those of the groups that a rule names.

        A group that is called like a role is left out: it does not make its members hold that role.
        """
        groups = [one for one in rule.groups if one.lower() in self.groups and role_named(one) is None]
        return tuple(dict.fromkeys((*_spellings(self.role), *groups)))


def _name_mark(name: str) -> str:
    return f"name:{name.lower()}"


def _role_mark(role: str) -> str:
    return f"role:{role}"


def _group_mark(group: str) -> str:
    return f"group:{group.lower()}"


@dataclass(frozen=True, slots=True)
class NewApproval:
    """An approval to request, for a trail as a whole or an artifact of it, everywhere or in one environment.

    `requester` tells who requests it (see `Decider.key`). `claimed_by` is the name that the request gives: shown, never
    trusted.
    """

    trail_id: UUID
    requester: str
    rule: ApprovalRule
    digest: str | None = None
    environment_id: UUID | None = None
    environment_name: str | None = None
    comments: str | None = None
    newest_commit: str | None = None
    oldest_commit: str | None = None
    claimed_by: str | None = None
    deadline: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewDecision:
    """A decision to make. One that `overrides` approves whatever the rule says, and its comments are the reason."""

    decider: Decider
    resolution: Resolution
    comments: str | None = None
    claimed_by: str | None = None
    overrides: bool = False


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval. `requester` is the key of whoever requested it, `author` what the commit calls its author."""

    id: UUID
    org_id: UUID
    trail_id: UUID
    flow_id: UUID
    digest: str | None
    environment_id: UUID | None
    status: ApprovalStatus
    rule: ApprovalRule
    comments: str | None
    newest_commit: str | None
    oldest_commit: str | None
    requested_by: UUID
    requester: str
    requester_name: str
    author: tuple[str, ...]
    deadline: datetime | None
    created_at: datetime
    resolved_at: datetime | None

    def status_at(self, time: datetime) -> ApprovalStatus:
        """Return the status, which is EXPIRED from the deadline on, also before that is recorded."""
        overdue = self.deadline is not None and self.deadline <= time
        return ApprovalStatus.EXPIRED if self.status is ApprovalStatus.PENDING_APPROVAL and overdue else self.status

    @property
    def barred(self) -> frozenset[str]:
        """The aliases of those who may not decide, whatever else they are."""
        return barred_by(self.rule, self.requester, self.author)


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision that was made. `meets` are the marks of the rule that its maker has, `roles` for later requirements.

    `name` is what the request claims, else what the principal is called; `principal_name` is the latter.
    """

    id: UUID
    approval_id: UUID
    decider: str
    resolution: Resolution
    overrides: bool
    comments: str | None
    meets: tuple[str, ...]
    roles: tuple[str, ...]
    decided_by: UUID
    name: str
    principal_name: str
    created_at: datetime


def barred_by(rule: ApprovalRule, requester: str | None, author: Iterable[str]) -> frozenset[str]:
    """Return the aliases of those who may not decide: the requester and the author, unless the rule allows it."""
    barred = () if rule.allow_author else tuple(author)
    return frozenset(barred if rule.allow_requester or requester is None else (requester, *barred))


def author_aliases(name: str, email: str) -> tuple[str, ...]:
    """Return what a commit calls its author, in lower case; nothing if it is not known.

    Either may be written as Git does it, `Ada Lovelace <ada@example.com>`, of which each part is an alias.
    """
    parts = (part for text in (name, email) for part in _PARTS_OF_AUTHOR.split(text))
    found = (" ".join(part.split()).lower() for part in parts)
    return tuple(dict.fromkeys(alias for alias in found if alias not in ("", UNKNOWN)))


def check_request(new: NewApproval, now: datetime) -> None:
    """Raise Invalid for an approval that is too late already, or that more people have to approve than may."""
    if new.deadline is not None and new.deadline <= now:
        raise Invalid.of("deadline", "must be in the future")
    rule = new.rule
    if rule.approvers and not (rule.roles or rule.groups) and rule.minimum > len(rule.approvers):
        raise Invalid.of("minimumApprovals", "must be at most the number of requiredApprovers, who alone may decide")


def reminder_at(requested_at: datetime, deadline: datetime | None) -> datetime | None:
    """Return when to remind people of an approval: when a fifth of the time is left."""
    return deadline and requested_at + (deadline - requested_at) * _REMINDED_AFTER


def check_open(approval: Approval, now: datetime) -> None:
    """Raise Conflict for an approval that is decided or has expired."""
    status = approval.status_at(now)
    if status is ApprovalStatus.EXPIRED:
        raise Conflict(f"The approval {approval.id} expired at its deadline; request another one.", "state")
    if status is not ApprovalStatus.PENDING_APPROVAL:
        raise Conflict(f"The approval {approval.id} is {status} already.", "state")


def check_decider(approval: Approval, decider: Decider) -> None:
    """Raise Forbidden, saying what to do, for somebody who may not decide this approval."""
    if approval.requester in approval.barred & decider.aliases:
        raise Forbidden(
            "Whoever requests an approval may not decide it: let another person decide, with a key of their own, "
            "or request it with allowRequester."
        )
    if approval.barred & decider.aliases:
        raise Forbidden(
            "The author of the commit may not decide its approval: let another person decide, "
            "or request it with allowAuthor."
        )
    named = approval.rule.marks
    if named and not named & decider.marks:
        raise Forbidden(f"Only {' or '.join(_described(approval.rule))} may decide this approval.")


def _described(rule: ApprovalRule) -> list[str]:
    parts = (
        ", ".join(rule.approvers),
        f"somebody with the role {', '.join(rule.roles)}" if rule.roles else "",
        f"a member of the group {', '.join(rule.groups)}" if rule.groups else "",
    )
    return [part for part in parts if part]


def check_first(approval: Approval, decider: Decider, decisions: Iterable[Decision]) -> None:
    """Raise Conflict for somebody who has decided this approval before."""
    if any(one.decider == decider.key for one in decisions):
        raise Conflict(f"You have decided the approval {approval.id} before; others have to decide, too.", "state")


def resolution(rule: ApprovalRule, decisions: Sequence[Decision]) -> Resolution | None:
    """Return how an approval ends with these decisions; None while more people have to decide."""
    if any(one.resolution is Resolution.REJECTED for one in decisions):
        return Resolution.REJECTED
    if any(one.overrides for one in decisions):
        return Resolution.APPROVED
    met = {mark for one in decisions for mark in one.meets}
    enough = len({one.decider for one in decisions}) >= rule.minimum
    return Resolution.APPROVED if enough and rule.marks <= met else None


def roles_of(rule: ApprovalRule, decisions: Iterable[Decision]) -> tuple[str, ...]:
    """Return the roles and groups of those who approved; an override stands for all that the rule requires."""
    found = [role for one in decisions for role in one.roles]
    if any(one.overrides for one in decisions):
        found += [*(name for role in rule.roles for name in _spellings(role)), *rule.groups]
    return tuple(dict.fromkeys(found))
