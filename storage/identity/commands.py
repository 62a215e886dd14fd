"""Changing who there is and what they may use to prove it."""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from domain.audit.events import Actor, AuditName, Event
from domain.errors import Conflict, Invalid, NotFound
from domain.identity.permissions import ROLES, Permission, PrincipalKind
from domain.identity.records import API_KEY, MEMBERSHIP, ORGANISATION, PRINCIPAL
from domain.identity.slugs import check_slug
from storage.audit.commands import append
from storage.database import Transaction
from storage.identity.queries import API_KEY_COLUMNS, ApiKey, Organisation
from storage.rows import insert
from storage.tenant import Tenant

KEY_PREFIX = "tg_"
SHOWN_PREFIX = 11
"""How much of a key is kept in clear, to tell keys apart: `tg_` and 8 of its 64 digits."""


@dataclass(frozen=True, slots=True)
class NewOrganisation:
    """What the founder of an organisation says of it."""

    slug: str
    name: str
    description: str = ""
    type: str = "SHARED"


async def create_organisation(tx: Transaction, new: NewOrganisation, actor: Actor) -> Organisation:
    """Found an organisation. Raises Invalid for a bad slug, Conflict for a taken one."""
    check_slug(new.slug)
    row: dict[str, Any] = {
        "id": tx.new_id(),
        "slug": new.slug,
        "name": new.name,
        "description": new.description,
        "type": new.type,
        "settings": {},
        "version": 1,
        "created_at": tx.now,
        "updated_at": tx.now,
    }
    try:
        await insert(tx, "organisations", row)
    except asyncpg.UniqueViolationError as error:
        raise Conflict(f"An organisation with the slug '{new.slug}' exists already.") from error
    event = Event(AuditName.ORGANISATION_CREATED, actor, ORGANISATION, row, {"slug": new.slug, "type": new.type})
    await append(tx, Tenant(row["id"], new.slug), [event])
    return Organisation(**{field: row[field] for field in Organisation.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class NewPrincipal:
    """Somebody, or something, that acts. `id` is given by who must name it beforehand: the first administrator."""

    kind: PrincipalKind
    username: str
    role: str
    id: UUID | None = None


async def create_principal(tx: Transaction, tenant: Tenant, new: NewPrincipal, actor: Actor) -> UUID:
    """Make a principal and its membership of the organisation; the answer is its id.

    Raises Invalid for an unknown role, Conflict for a taken name.
    """
    if new.role not in ROLES:
        raise Invalid.of("role", f"must be one of {', '.join(sorted(ROLES))}")
    principal_id = new.id or tx.new_id()
    row: dict[str, Any] = {
        "id": principal_id,
        "kind": new.kind,
        "username": new.username,
        "version": 1,
        "created_at": tx.now,
        "disabled_at": None,
    }
    member = {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "principal_id": principal_id,
        "role": new.role,
        "version": 1,
        "created_at": tx.now,
    }
    try:
        await insert(tx, "principals", row)
    except asyncpg.UniqueViolationError as error:
        raise Conflict(f"A principal named '{new.username}' exists already.") from error
    await insert(tx, "memberships", member)
    told = {"principalId": str(principal_id)}
    events = [
        Event(AuditName.PRINCIPAL_CREATED, actor, PRINCIPAL, row, {**told, "kind": new.kind}),
        Event(AuditName.MEMBERSHIP_CREATED, actor, MEMBERSHIP, member, {**told, "role": new.role}),
    ]
    await append(tx, tenant, events)
    return principal_id


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key to be made. `permissions` None = all of its owner's; `text` None = a random key."""

    principal_id: UUID
    name: str
    permissions: Collection[Permission] | None = None
    expires_at: datetime | None = None
    text: str | None = None


def key_hash(text: str) -> bytes:
    """How keys are stored and looked up: they are random, so one SHA-256 is enough."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


async def create_api_key(tx: Transaction, tenant: Tenant, new: NewApiKey, actor: Actor) -> tuple[ApiKey, str]:
    """Make a key; its text is in the answer and nowhere else. Raises Conflict when a given text is in use."""
    text = new.text or KEY_PREFIX + secrets.token_hex(32)
    row: dict[str, Any] = {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "principal_id": new.principal_id,
        "name": new.name,
        "sha256": key_hash(text),
        "prefix": text[:SHOWN_PREFIX] if text.startswith(KEY_PREFIX) else "",
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
        raise Conflict("This key exists already.") from error
    await append(tx, tenant, [_key_event(AuditName.API_KEY_CREATED, actor, row)])
    return ApiKey(**{field: row[field] for field in API_KEY_COLUMNS}, last_used_at=None), text


_REVOKE = """
UPDATE api_keys SET revoked_at = $3, version = version + 1 WHERE org_id = $1 AND id = $2 AND revoked_at IS NULL
RETURNING *
"""


async def revoke_api_key(tx: Transaction, tenant: Tenant, key_id: UUID, actor: Actor) -> None:
    """End a key at once; revoking it again changes nothing. Raises NotFound."""
    row = await tx.row(_REVOKE, tenant.org_id, key_id, tx.now)
    if row:
        await append(tx, tenant, [_key_event(AuditName.API_KEY_REVOKED, actor, row)])
    elif not await tx.value("SELECT true FROM api_keys WHERE org_id = $1 AND id = $2", tenant.org_id, key_id):
        raise NotFound(f"There is no API key {key_id}.")


_USED = """
INSERT INTO api_key_uses (api_key_id, last_used_at) SELECT * FROM unnest($1::uuid[], $2::timestamptz[])
ON CONFLICT (api_key_id) DO UPDATE SET last_used_at = greatest(api_key_uses.last_used_at, excluded.last_used_at)
"""


async def note_key_uses(tx: Transaction, uses: dict[UUID, datetime]) -> None:
    """Keep when keys were last used, for many at once: a request never writes for this."""
    ordered = sorted(uses.items())
    await tx.execute(_USED, [key_id for key_id, _ in ordered], [used for _, used in ordered])


def _key_event(name: AuditName, actor: Actor, row: Any) -> Event:
    return Event(name, actor, API_KEY, row, {"apiKeyId": str(row["id"]), "name": row["name"], "prefix": row["prefix"]})
