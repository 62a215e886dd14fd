"""Reading who there is, and turning a key into a principal."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.errors import NotFound
from domain.identity.permissions import Principal, narrowed, role_permissions
from storage.database import Reader, Row
from storage.paging import Listing, Page, Window, capped_count, fetch_page, with_total
from storage.tenant import Tenant

API_KEY_COLUMNS = (
    "id",
    "org_id",
    "principal_id",
    "name",
    "prefix",
    "permissions",
    "scopes",
    "created_at",
    "expires_at",
    "revoked_at",
)


@dataclass(frozen=True, slots=True)
class Organisation:
    """A tenant."""

    id: UUID
    slug: str
    name: str
    description: str
    type: str
    created_at: datetime
    updated_at: datetime

    @property
    def tenant(self) -> Tenant:
        """The organisation as the tenant of a query."""
        return Tenant(self.id, self.slug)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its text."""

    id: UUID
    org_id: UUID
    principal_id: UUID
    name: str
    prefix: str
    permissions: list[str] | None
    scopes: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


_PRINCIPALS_OF_KEYS = """
SELECT k.sha256, p.id, p.kind, k.org_id, o.slug, m.role, k.id AS key_id, k.permissions, k.scopes
FROM api_keys k
JOIN principals p ON p.id = k.principal_id
JOIN organisations o ON o.id = k.org_id
JOIN memberships m ON m.org_id = k.org_id AND m.principal_id = k.principal_id
WHERE k.sha256 = ANY($1::bytea[]) AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2)
  AND p.disabled_at IS NULL
"""


async def principals_of_keys(reader: Reader, hashes: Collection[bytes], now: datetime) -> dict[bytes, Principal]:
    """Whose keys these are, where they hold now: not revoked, not expired, their owners active and members."""
    rows = await reader.rows(_PRINCIPALS_OF_KEYS, list(hashes), now)
    return {row["sha256"]: _principal(row) for row in rows}


def _principal(row: Row) -> Principal:
    return Principal(
        id=row["id"],
        kind=row["kind"],
        org_id=row["org_id"],
        org_slug=row["slug"],
        role=row["role"],
        permissions=narrowed(role_permissions(row["role"], row["slug"]), row["permissions"]),
        credential_id=row["key_id"],
        scopes=None if row["scopes"] is None else frozenset(row["scopes"]),
    )


_ORGANISATION = "SELECT id, slug, name, description, type, created_at, updated_at FROM organisations"


async def organisation_by_slug_or_id(reader: Reader, name: str) -> Organisation | None:
    """An organisation as paths and headers name it: by slug first, then by id (integrations.md 3)."""
    row = await reader.row(f"{_ORGANISATION} WHERE slug = $1", name)
    if row is None and (org_id := _as_uuid(name)):
        row = await reader.row(f"{_ORGANISATION} WHERE id = $1", org_id)
    return Organisation(**row) if row else None


async def every_organisation(reader: Reader) -> list[Organisation]:
    """All of them, oldest first: for the operator's own commands, which work through each."""
    return [Organisation(**row) for row in await reader.rows(f"{_ORGANISATION} ORDER BY created_at, id")]


_LISTING = Listing(_ORGANISATION, "created_at", "id", lambda row: Organisation(**row))


async def list_organisations(reader: Reader, only: UUID | None, window: Window) -> Page[Organisation]:
    """Every organisation, or the one the caller belongs to, oldest first."""
    conditions, args = ["($1::uuid IS NULL OR id = $1)"], [only]
    page = await fetch_page(reader, _LISTING, conditions, args, window)
    count, capped = await capped_count(reader, "organisations", conditions, args)
    return with_total(page, count, capped=capped)


_KEYS = f"""
SELECT {", ".join("k." + column for column in API_KEY_COLUMNS)}, u.last_used_at
FROM api_keys k LEFT JOIN api_key_uses u ON u.api_key_id = k.id
WHERE k.org_id = $1 ORDER BY k.created_at, k.id LIMIT $2
"""  # noqa: S608 - names of our own


async def list_api_keys(reader: Reader, tenant: Tenant, limit: int) -> list[ApiKey]:
    """The organisation's keys, oldest first, revoked ones too."""
    return [ApiKey(**row) for row in await reader.rows(_KEYS, tenant.org_id, limit)]


_MEMBER = """
SELECT p.id, m.role FROM principals p JOIN memberships m ON m.principal_id = p.id
WHERE m.org_id = $1 AND p.username = $2 AND p.disabled_at IS NULL
"""


async def active_member(reader: Reader, tenant: Tenant, username: str) -> tuple[UUID, str]:
    """A member that may act, and its role. Raises NotFound."""
    row = await reader.row(_MEMBER, tenant.org_id, username)
    if row is None:
        raise NotFound(f"Organisation '{tenant.org_slug}' has no active member '{username}'.")
    return row["id"], row["role"]


async def organisation_of_key(reader: Reader, key_id: UUID) -> Tenant | None:
    """The organisation a key is good for; None for an unknown key."""
    row = await reader.row(
        "SELECT o.id, o.slug FROM api_keys k JOIN organisations o ON o.id = k.org_id WHERE k.id = $1", key_id
    )
    return Tenant(row["id"], row["slug"]) if row else None


async def principal_named(reader: Reader, username: str) -> UUID | None:
    """A principal by its name, which is unique over all organisations."""
    found: UUID | None = await reader.value("SELECT id FROM principals WHERE username = $1", username)
    return found


async def usernames(reader: Reader, principal_ids: list[UUID]) -> dict[UUID, str]:
    """How principals are shown; an erased one has no name."""
    rows = await reader.rows(
        "SELECT id, username FROM principals WHERE id = ANY($1::uuid[]) AND erased_at IS NULL", principal_ids
    )
    return {row["id"]: row["username"] for row in rows}


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
