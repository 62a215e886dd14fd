"""Reading who may decide approvals: the caller of a request, and the people who could be asked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.gates.approvals import ApprovalRule, Decider, barred_by
from domain.identity.permissions import ROLES, Permission, Principal
from domain.tenant import Tenant
from storage.database import Reader
from storage.identity.queries.people import Person, Wanted, people_wanted, person_with_id

MAX_APPROVERS = 20
"""People who are named as those who could decide."""

_DECIDING_ROLES = tuple(role for role, granted in ROLES.items() if Permission.APPROVALS_DECIDE in granted)


async def decider_of(reader: Reader, principal: Principal, claimed: str | None) -> Decider:
    """Return the caller as the rules of approvals know it.

    `claimed` is the name that the request gives. It counts only while authentication is off, when nobody has a name.
    """
    if principal.credential_kind is None and claimed is not None:
        name = claimed.strip().lower()
        return Decider(name, frozenset({name}), frozenset({name}), principal.role)
    tenant = Tenant(principal.org_id, principal.org_slug)
    return _decider(principal.id, principal.role, await person_with_id(reader, tenant, principal.id))


def _decider(principal_id: UUID, role: str, person: Person | None) -> Decider:
    names, others, groups = {str(principal_id)}, set[str](), frozenset[str]()
    if person is not None:
        names |= {text.lower() for text in (person.username, person.email) if text}
        others = {text.lower() for text in (person.name, person.github_id) if text}
        groups = frozenset(group.lower() for group in person.groups)
    return Decider(str(principal_id), frozenset(names), frozenset(names | others), role, groups)


@dataclass(frozen=True, slots=True)
class Approver:
    """Somebody who could decide an approval."""

    id: UUID
    name: str
    email: str | None


async def possible_approvers(
    reader: Reader,
    tenant: Tenant,
    rule: ApprovalRule,
    *,
    requester: str | None = None,
    author: Sequence[str] = (),
    decided: Iterable[str] = (),
) -> list[Approver]:
    """Return members who may decide approvals of this rule, MAX_APPROVERS at most.

    Neither the requester, given by the id of its principal, nor the author, by what the commit calls it in lower case
    (see `domain.gates.approvals.author_aliases`), is among them unless the rule allows that. Nor are those who have
    `decided` already, given by their ids.
    """
    wanted = Wanted(
        roles=_DECIDING_ROLES,
        barred=barred_by(rule, requester, author).union(decided),
        anybody=not rule.marks,
        names=[name.lower() for name in rule.approvers],
        other_roles=rule.roles,
        groups=[group.lower() for group in rule.groups],
    )
    found = await people_wanted(reader, tenant, wanted, MAX_APPROVERS)
    return [Approver(one.id, one.name or one.username, one.email) for one in found]


def mine(decider: Decider) -> dict[str, Any]:
    """Return the conditions, on `approvals a`, of those that somebody may decide and has not decided yet."""
    undecided = "NOT EXISTS (SELECT FROM approval_decisions d WHERE d.approval_id = a.id AND d.decider = {})"
    return {
        "NOT a.barred && {}::text[]": sorted(decider.aliases),
        "(cardinality(a.named) = 0 OR a.named && {}::text[])": sorted(decider.marks),
        undecided: decider.key,
    }
