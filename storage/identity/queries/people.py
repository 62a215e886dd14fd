"""Reading people as rules about approvals know them: by their names, roles and groups."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.tenant import Tenant
from storage.database import Reader
from storage.rows import from_row


@dataclass(frozen=True, slots=True)
class Person:
    """A principal with what names it. `groups` are those that the identity provider told at the last sign-in."""

    id: UUID
    username: str
    email: str | None
    name: str | None
    github_id: str | None
    groups: tuple[str, ...]


_GROUPS = """
coalesce((
  SELECT i.groups FROM sso_identities i
  WHERE i.org_id = $1 AND i.principal_id = p.id AND i.archived_at IS NULL ORDER BY i.updated_at DESC LIMIT 1
), '{}')
"""
_person = from_row(Person, groups=tuple)
_PERSON = f"""
SELECT p.id, p.username, p.email, p.name, p.github_id, {_GROUPS} AS groups FROM principals p WHERE p.id = $2
"""


async def person_with_id(reader: Reader, tenant: Tenant, principal_id: UUID) -> Person | None:
    """Return a principal with the groups that it has in an organisation; None if there is no such principal."""
    row = await reader.row(_PERSON, tenant.org_id, principal_id)
    return _person(row) if row else None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which members are wanted. All texts but roles are in lower case.

    They hold one of `roles` and go by none of the aliases in `barred`. With `anybody`, this is enough; without it they
    also go by one of `names`, hold one of `other_roles`, or are in one of `groups`.
    """

    roles: Collection[str]
    barred: Collection[str]
    anybody: bool
    names: Collection[str]
    other_roles: Collection[str]
    groups: Collection[str]


_MEMBERS = f"""
SELECT found.* FROM (
  SELECT p.id, p.username, p.email, p.name, p.github_id, m.role, m.created_at,
         array_remove(ARRAY[p.id::text, lower(p.username), lower(p.email)], NULL) AS names,
         array_remove(ARRAY[lower(p.name), lower(p.github_id)], NULL) AS others, {_GROUPS} AS groups
  FROM memberships m JOIN principals p ON p.id = m.principal_id
  WHERE m.org_id = $1 AND m.kind = $2 AND m.archived_at IS NULL AND p.disabled_at IS NULL AND m.role = ANY($3::text[])
) found
WHERE NOT (names || others) && $4::text[]
  AND ($5 OR names && $6::text[] OR role = ANY($7::text[])
       OR EXISTS (SELECT FROM unnest(groups) AS one(name) WHERE lower(one.name) = ANY($8::text[])))
ORDER BY created_at, id LIMIT $9
"""


async def people_wanted(reader: Reader, tenant: Tenant, wanted: Wanted, most: int) -> Sequence[Person]:
    """Return the first members who are people and are wanted, no more than `most`."""
    conditions = (wanted.anybody, *map(list, (wanted.names, wanted.other_roles, wanted.groups)))
    rows = await reader.rows(
        _MEMBERS, tenant.org_id, "user", list(wanted.roles), list(wanted.barred), *conditions, most
    )
    return [_person(row) for row in rows]
