"""Creating, rotating and revoking API keys."""

from collections.abc import Mapping
from datetime import timedelta
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
from storage.database import Row, Transaction
from storage.identity.commands.quotas import charge, release
from storage.identity.queries.api_keys import get_api_key
from storage.identity.queries.organisations import held_organisation
from storage.identity.queries.single_sign_on import has_break_glass_key
from storage.references import check_scoped_flows
from storage.rows import insert


async def create_api_key(tx: Transaction, tenant: Tenant, new: NewApiKey, actor: Actor) -> tuple[ApiKey, str]:
    """Create a key and return it with its text, which is stored only as a hash.

    Raises Conflict for a text in use, and when the organisation's quota is exceeded. Raises Invalid for a scope that
    names a flow which the organisation does not have.
    """
    await check_scoped_flows(tx, tenant, new.scopes)
    text = new.text or random_key()
    row = await _insert(
        tx,
        tenant,
        text,
        {
            "principal_id": new.principal_id,
            "name": new.name,
            "permissions": None if new.permissions is None else sorted(p.value for p in new.permissions),
            "scopes": new.scopes,
            "expires_at": new.expires_at,
            "break_glass": new.break_glass or None,
        },
    )
    await append(tx, tenant, [_key_event(AuditName.API_KEY_CREATED, actor, row)])
    return await get_api_key(tx, tenant, row["id"]), text


async def _insert(tx: Transaction, tenant: Tenant, text: str, values: Mapping[str, Any]) -> dict[str, Any]:
    await charge(tx, tenant, Quota.API_KEYS)
    row = {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "sha256": key_hash(text),
        "prefix": shown_prefix(text),
        "version": 1,
        "created_at": tx.now,
        "revoked_at": None,
        **values,
    }
    try:
        await insert(tx, "api_keys", row)
    except asyncpg.UniqueViolationError as error:
        raise Conflict("This API key exists already.") from error
    return row


_COPIED = ("principal_id", "name", "permissions", "scopes", "break_glass")
_HOLD = "SELECT * FROM api_keys WHERE org_id = $1 AND id = $2 FOR UPDATE"
_NEW = 1
"""The version of a key that nobody has rotated, revoked or erased."""
_EXPIRE = "UPDATE api_keys SET expires_at = $2, version = version + 1 WHERE id = $1 RETURNING *"


async def rotate_api_key(
    tx: Transaction, tenant: Tenant, key_id: UUID, overlap: timedelta, actor: Actor
) -> tuple[ApiKey, str]:
    """Create a successor that may do the same for as long as the key was made for; return it with its text.

    The old key expires after the `overlap`, or at its own end if that is earlier. Raises NotFound, and Conflict for a
    key that is revoked, expired or rotated already.
    """
    held = await tx.row(_HOLD, tenant.org_id, key_id)
    if held is None:
        raise NotFound(f"There is no API key {key_id}.")
    if held["revoked_at"] is not None or (held["expires_at"] is not None and held["expires_at"] <= tx.now):
        raise Conflict("This key is revoked or expired; create another one.", "state")
    if (
        held["version"] > _NEW
    ):  # its end is that of the overlap: a second successor would end soon, and nobody would know
        raise Conflict(
            "This key was rotated already; rotate its successor, or revoke it and create another one.", "state"
        )
    lifetime = held["expires_at"] - held["created_at"] if held["expires_at"] else None
    text = random_key()
    expires_at = tx.now + lifetime if lifetime else None
    row = await _insert(tx, tenant, text, {**{name: held[name] for name in _COPIED}, "expires_at": expires_at})
    end = min(held["expires_at"] or tx.now + overlap, tx.now + overlap)
    old = await tx.row(_EXPIRE, key_id, end)
    assert old is not None  # noqa: S101 - the row is locked
    events = [_key_event(AuditName.API_KEY_CREATED, actor, row), _key_event(AuditName.API_KEY_ROTATED, actor, old)]
    await append(tx, tenant, events)
    return await get_api_key(tx, tenant, row["id"]), text


_REVOKE = """
UPDATE api_keys SET revoked_at = $3, version = version + 1 WHERE org_id = $1 AND id = $2 AND revoked_at IS NULL
RETURNING *
"""


async def revoke_api_key(tx: Transaction, tenant: Tenant, key_id: UUID, actor: Actor) -> None:
    """Revoke a key with immediate effect; revoking it again changes nothing.

    Raises NotFound, and Conflict for the last break-glass key where single sign-on is mandatory.
    """
    row = await tx.row(_REVOKE, tenant.org_id, key_id, tx.now)
    if row:
        if row["break_glass"]:
            await _keep_break_glass(tx, tenant)
        await release(tx, tenant, Quota.API_KEYS)
        await append(tx, tenant, [_key_event(AuditName.API_KEY_REVOKED, actor, row)])
    elif not await tx.value("SELECT true FROM api_keys WHERE org_id = $1 AND id = $2", tenant.org_id, key_id):
        raise NotFound(f"There is no API key {key_id}.")


_MANDATORY = "SELECT EXISTS (SELECT FROM sso_configs WHERE org_id = $1 AND is_mandatory AND archived_at IS NULL)"


async def _keep_break_glass(tx: Transaction, tenant: Tenant) -> None:
    """Raise Conflict if nobody could enter without the identity provider; hold the organisation, as with two such."""
    await held_organisation(tx, tenant)
    if await tx.value(_MANDATORY, tenant.org_id) and not await has_break_glass_key(tx, tenant, tx.now):
        message = "This is the last break-glass key, and single sign-on is mandatory: create another one first."
        raise Conflict(message, "state")


_REVOKE_ALL = """
UPDATE api_keys SET revoked_at = $3, version = version + 1
WHERE org_id = $1 AND principal_id = $2 AND revoked_at IS NULL
RETURNING *
"""


async def revoke_keys_of(tx: Transaction, tenant: Tenant, principal_id: UUID, actor: Actor) -> None:
    """Revoke every key of a principal in the organisation."""
    rows = await tx.rows(_REVOKE_ALL, tenant.org_id, principal_id, tx.now)
    if rows:
        await release(tx, tenant, Quota.API_KEYS, len(rows))
        await append(tx, tenant, [_key_event(AuditName.API_KEY_REVOKED, actor, row) for row in rows])


def _key_event(name: AuditName, actor: Actor, row: Row) -> Event:
    return Event(name, actor, API_KEY, row, {"apiKeyId": str(row["id"]), "name": row["name"], "prefix": row["prefix"]})
