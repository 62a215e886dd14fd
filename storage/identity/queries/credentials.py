"""Finding the principals of API keys."""

from collections.abc import Collection
from datetime import datetime

from domain.identity.permissions import Principal, narrowed, role_permissions
from domain.identity.scopes import Scopes
from storage.database import Reader, Row

CREDENTIAL_CHANGES = "credential_changes"
"""The NOTIFY channel for changes to credentials; the payload is the id of the organisation or principal concerned."""

_PRINCIPALS_OF_KEYS = """
SELECT k.sha256, p.id, p.kind, k.org_id, o.slug, m.role, k.id AS key_id, k.permissions, k.scopes
FROM api_keys k
JOIN principals p ON p.id = k.principal_id
JOIN organisations o ON o.id = k.org_id
JOIN memberships m ON m.org_id = k.org_id AND m.principal_id = k.principal_id AND m.archived_at IS NULL
WHERE k.sha256 = ANY($1::bytea[]) AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2)
  AND p.disabled_at IS NULL AND o.archived_at IS NULL
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
        scopes=None if row["scopes"] is None else Scopes.of(row["scopes"]),
    )
