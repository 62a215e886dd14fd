"""Reading the identity providers of organisations."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.errors import NotFound
from domain.identity.single_sign_on import SsoConfig, SsoProvider
from domain.tenant import Tenant
from storage.database import Reader
from storage.rows import columns, from_row

NOT_CONFIGURED = "Single sign-on is not configured."

sso_config_of = from_row(SsoConfig, provider=SsoProvider, redirect_uris=tuple)

_CONFIG = f"SELECT {columns(SsoConfig)} FROM sso_configs WHERE org_id = $1 AND archived_at IS NULL"


async def find_sso_config(reader: Reader, tenant: Tenant) -> SsoConfig | None:
    """Return the organisation's configuration; None if there is none."""
    row = await reader.row(_CONFIG, tenant.org_id)
    return sso_config_of(row) if row else None


async def get_sso_config(reader: Reader, tenant: Tenant) -> SsoConfig:
    """Return the organisation's configuration. Raises NotFound."""
    found = await find_sso_config(reader, tenant)
    if found is None:
        raise NotFound(NOT_CONFIGURED)
    return found


@dataclass(frozen=True, slots=True)
class SubjectLink:
    """The user whom a subject of the provider was linked with, perhaps deleted since."""

    id: UUID
    user_id: UUID
    is_deleted: bool


_LINK = """
SELECT i.id, i.principal_id, p.archived_at IS NOT NULL AS is_deleted
FROM sso_identities i JOIN principals p ON p.id = i.principal_id
WHERE i.org_id = $1 AND i.issuer = $2 AND i.subject = $3 AND i.archived_at IS NULL
"""
_WAS_MEMBER = """
SELECT EXISTS (
  SELECT FROM principals p JOIN memberships m ON m.principal_id = p.id
  WHERE p.username = $2 AND p.archived_at IS NOT NULL AND m.org_id = $1
)
"""
_OTHER_IDENTITY = """
SELECT EXISTS (
  SELECT FROM sso_identities WHERE org_id = $1 AND principal_id = $2 AND issuer = $3 AND archived_at IS NULL
)
"""


async def link_of_subject(reader: Reader, tenant: Tenant, issuer: str, subject: str) -> SubjectLink | None:
    """Return the link of a subject of the provider; None for a new subject."""
    row = await reader.row(_LINK, tenant.org_id, issuer, subject)
    return SubjectLink(row["id"], row["principal_id"], row["is_deleted"]) if row else None


_IS_OURS = """
SELECT EXISTS (SELECT FROM principals WHERE id = $2 AND org_id = $1)
  OR EXISTS (SELECT FROM memberships WHERE org_id = $1 AND principal_id = $2 AND archived_at IS NULL)
"""


async def is_ours(reader: Reader, tenant: Tenant, user_id: UUID) -> bool:
    """Return whether the organisation manages a user or has them as a member: its provider may speak for no others."""
    return bool(await reader.value(_IS_OURS, tenant.org_id, user_id))


async def was_member(reader: Reader, tenant: Tenant, email: str) -> bool:
    """Return whether a deleted user with this address was a member."""
    return bool(await reader.value(_WAS_MEMBER, tenant.org_id, email))


async def has_subject(reader: Reader, tenant: Tenant, principal_id: UUID, issuer: str) -> bool:
    """Return whether a person is linked with a subject of the provider already."""
    return bool(await reader.value(_OTHER_IDENTITY, tenant.org_id, principal_id, issuer))


_BREAK_GLASS = """
SELECT EXISTS (
  SELECT FROM api_keys k
  JOIN memberships m ON m.org_id = k.org_id AND m.principal_id = k.principal_id AND m.archived_at IS NULL
  JOIN principals p ON p.id = k.principal_id
  WHERE k.org_id = $1 AND k.break_glass AND k.permissions IS NULL AND k.scopes IS NULL AND k.revoked_at IS NULL
    AND (k.expires_at IS NULL OR k.expires_at > $2)
    AND m.role = 'admin' AND p.disabled_at IS NULL
)
"""


async def has_break_glass_key(reader: Reader, tenant: Tenant, now: datetime) -> bool:
    """Return whether an active administrator has a key that works without single sign-on."""
    return bool(await reader.value(_BREAK_GLASS, tenant.org_id, now))
