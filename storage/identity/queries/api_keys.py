"""Reading API keys."""

from uuid import UUID

from domain.identity.api_keys import ApiKey
from domain.tenant import Tenant
from storage.database import Reader
from storage.paging import Listing, Page, Window
from storage.rows import columns, from_row

api_key_of = from_row(ApiKey)

_KEYS = Listing(
    "API key",
    f"{columns(ApiKey, prefix='k.', but={'last_used_at', 'owner_kind'})}, u.last_used_at, p.kind AS owner_kind",
    "api_keys k JOIN principals p ON p.id = k.principal_id LEFT JOIN api_key_uses u ON u.api_key_id = k.id",
    api_key_of,
    alias="k.",
    counted="api_keys k",
)


async def get_api_key(reader: Reader, tenant: Tenant, key_id: UUID) -> ApiKey:
    """Return one key, also a revoked one. Raises NotFound, also if it could reach more than the tenant's scopes."""
    key = await _KEYS.get(reader, tenant.unscoped, key_id)
    if tenant.scopes is not None and not tenant.scopes.cover(key.scopes):
        raise _KEYS.missing(key_id)
    return key


async def list_api_keys_of(reader: Reader, tenant: Tenant, window: Window, *, owner_id: UUID) -> Page[ApiKey]:
    """List the keys of an owner, oldest first, including revoked ones, without those beyond the tenant's scopes."""
    scopes = None if tenant.scopes is None else tenant.scopes.texts
    within = {"k.principal_id = {}": owner_id}
    return await _KEYS.page(reader, tenant.unscoped, window, within=within, filters={"k.scopes <@ {}": scopes})


async def list_api_keys(reader: Reader, tenant: Tenant, limit: int) -> list[ApiKey]:
    """Return the organisation's keys, oldest first, including revoked ones, for operators' commands."""
    rows = await reader.rows(
        f"{_KEYS.select} WHERE k.org_id = $1 ORDER BY k.created_at, k.id LIMIT $2", tenant.org_id, limit
    )
    return [api_key_of(row) for row in rows]


async def organisation_of_key(reader: Reader, key_id: UUID) -> Tenant | None:
    """Return the organisation of a key; None for an unknown key."""
    row = await reader.row(
        "SELECT o.id, o.slug FROM api_keys k JOIN organisations o ON o.id = k.org_id WHERE k.id = $1", key_id
    )
    return Tenant(row["id"], row["slug"]) if row else None
