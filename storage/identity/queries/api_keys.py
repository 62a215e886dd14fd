"""Reading API keys, and finding the principals that they belong to."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from domain.identity.api_keys import ApiKey
from domain.identity.permissions import Principal, narrowed, role_permissions
from domain.tenant import Tenant
from storage.database import Reader, Row
from storage.rows import from_row

CREDENTIAL_CHANGES = "credential_changes"
"""The NOTIFY channel for changes to credentials; the payload is the id of the organisation or principal concerned."""

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
    """Return the principals of valid keys by key hash: not revoked or expired, and the owner is an active member."""
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


_KEYS = """
SELECT k.*, u.last_used_at FROM api_keys k LEFT JOIN api_key_uses u ON u.api_key_id = k.id
WHERE k.org_id = $1 ORDER BY k.created_at, k.id LIMIT $2
"""

api_key_of = from_row(ApiKey)


async def list_api_keys(reader: Reader, tenant: Tenant, limit: int) -> list[ApiKey]:
    """Return the organisation's keys, oldest first, including revoked ones."""
    return [api_key_of(row) for row in await reader.rows(_KEYS, tenant.org_id, limit)]


async def organisation_of_key(reader: Reader, key_id: UUID) -> Tenant | None:
    """Return the organisation of a key; None for an unknown key."""
    row = await reader.row(
        "SELECT o.id, o.slug FROM api_keys k JOIN organisations o ON o.id = k.org_id WHERE k.id = $1", key_id
    )
    return Tenant(row["id"], row["slug"]) if row else None
