"""Finding the principals of API keys and sessions."""

from collections.abc import Collection
from datetime import datetime, timedelta

from domain.identity.permissions import Principal, narrowed, role_permissions
from domain.identity.scopes import Scopes
from storage.database import Reader, Row

CREDENTIAL_CHANGES = "credential_changes"
"""The NOTIFY channel for changes to credentials; the payload is the id of the organisation or principal concerned."""

_PRINCIPALS = """
WITH credentials AS (
  SELECT k.sha256, k.id, k.org_id, k.principal_id, 'api_key' AS kind, k.permissions, k.scopes,
    false AS is_sso, k.break_glass
  FROM api_keys k
  WHERE k.sha256 = ANY($1::bytea[]) AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2)
  UNION ALL
  SELECT s.sha256, s.id, s.org_id, s.principal_id, 'session', k.permissions, k.scopes,
    s.method = 'sso', k.break_glass
  FROM sessions s
  LEFT JOIN session_uses u ON u.session_id = s.id
  LEFT JOIN api_keys k ON k.id = s.api_key_id
  WHERE s.sha256 = ANY($1::bytea[]) AND s.revoked_at IS NULL AND s.expires_at > $2
    AND greatest(CASE WHEN u.last_used_at <= $2 THEN u.last_used_at END, s.created_at) > $3
    AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2)
    AND (s.method <> 'sso' OR EXISTS (
      SELECT FROM sso_configs x WHERE x.org_id = s.org_id AND x.archived_at IS NULL AND x.created_at <= s.created_at
    ))
)
SELECT c.sha256, p.id, p.kind, c.org_id, o.slug, m.role, c.id AS credential_id, c.kind AS credential_kind,
  c.permissions, c.scopes
FROM credentials c
JOIN principals p ON p.id = c.principal_id
JOIN organisations o ON o.id = c.org_id
JOIN memberships m ON m.org_id = c.org_id AND m.principal_id = c.principal_id AND m.archived_at IS NULL
WHERE p.disabled_at IS NULL AND o.archived_at IS NULL
  AND (c.is_sso OR (c.break_glass AND m.role = 'admin') OR p.kind <> 'user' OR NOT EXISTS (
    SELECT FROM sso_configs x WHERE x.org_id = c.org_id AND x.is_mandatory AND x.archived_at IS NULL
  ))
"""


async def principals_of(
    reader: Reader, hashes: Collection[bytes], now: datetime, idle: timedelta
) -> dict[bytes, Principal]:
    """Return the principals of valid credentials by hash.

    A credential is valid if it is not revoked or expired and its owner is an active member; a session, too, if it was
    used within the last `idle`, and if what it was started with is still valid: the API key, or the configuration of
    single sign-on. Where that is mandatory, people need a session of it, or a break-glass key.
    """
    rows = await reader.rows(_PRINCIPALS, list(hashes), now, now - idle)
    return {row["sha256"]: principal_in(row) for row in rows}


def principal_in(row: Row) -> Principal:
    """Return the principal that a row describes, as `_PRINCIPALS` does."""
    return Principal(
        id=row["id"],
        kind=row["kind"],
        org_id=row["org_id"],
        org_slug=row["slug"],
        role=row["role"],
        permissions=narrowed(role_permissions(row["role"], row["slug"]), row["permissions"]),
        credential_id=row["credential_id"],
        credential_kind=row["credential_kind"],
        scopes=None if row["scopes"] is None else Scopes.of(row["scopes"]),
    )
