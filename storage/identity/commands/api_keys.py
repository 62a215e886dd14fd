"""Creating and revoking API keys, and recording when they are used."""

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from domain.audit.events import Actor, AuditName, Event
from domain.errors import Conflict, NotFound
from domain.identity.api_keys import ApiKey, NewApiKey, key_hash, random_key, shown_prefix
from domain.identity.quotas import Quota
from domain.identity.records import API_KEY
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.database import Transaction
from storage.identity.commands.quotas import charge, release
from storage.identity.queries.api_keys import api_key_of
from storage.rows import insert


async def create_api_key(tx: Transaction, tenant: Tenant, new: NewApiKey, actor: Actor) -> tuple[ApiKey, str]:
    """Create a key and return it with its text, which is stored only as a hash.

    Raises Conflict for a text in use, and when the organisation's quota is exceeded.
    """
    await charge(tx, tenant, Quota.API_KEYS)
    text = new.text or random_key()
    row: dict[str, Any] = {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "principal_id": new.principal_id,
        "name": new.name,
        "sha256": key_hash(text),
        "prefix": shown_prefix(text),
        "permissions": None if new.permissions is None else sorted(p.value for p in new.permissions),
        "scopes": None,
        "version": 1,
        "created_at": tx.now,
        "expires_at": new.expires_at,
        "revoked_at": None,
    }
    try:
        await insert(tx, "api_keys", row)
    except asyncpg.UniqueViolationError as error:
        raise Conflict("This API key exists already.") from error
    await append(tx, tenant, [_key_event(AuditName.API_KEY_CREATED, actor, row)])
    return api_key_of({**row, "last_used_at": None}), text


_REVOKE = """
UPDATE api_keys SET revoked_at = $3, version = version + 1 WHERE org_id = $1 AND id = $2 AND revoked_at IS NULL
RETURNING *
"""


async def revoke_api_key(tx: Transaction, tenant: Tenant, key_id: UUID, actor: Actor) -> None:
    """Revoke a key with immediate effect; revoking it again changes nothing. Raises NotFound."""
    row = await tx.row(_REVOKE, tenant.org_id, key_id, tx.now)
    if row:
        await release(tx, tenant, Quota.API_KEYS)
        await append(tx, tenant, [_key_event(AuditName.API_KEY_REVOKED, actor, row)])
    elif not await tx.value("SELECT true FROM api_keys WHERE org_id = $1 AND id = $2", tenant.org_id, key_id):
        raise NotFound(f"There is no API key {key_id}.")


_USED = """
INSERT INTO api_key_uses (api_key_id, last_used_at) SELECT * FROM unnest($1::uuid[], $2::timestamptz[])
ON CONFLICT (api_key_id) DO UPDATE SET last_used_at = greatest(api_key_uses.last_used_at, excluded.last_used_at)
"""


async def note_key_uses(tx: Transaction, uses: dict[UUID, datetime]) -> None:
    """Record when keys were last used, for many keys at once, so that no request has to write it."""
    ordered = sorted(uses.items())
    await tx.execute(_USED, [key_id for key_id, _ in ordered], [used for _, used in ordered])


def _key_event(name: AuditName, actor: Actor, row: Any) -> Event:
    return Event(name, actor, API_KEY, row, {"apiKeyId": str(row["id"]), "name": row["name"], "prefix": row["prefix"]})
