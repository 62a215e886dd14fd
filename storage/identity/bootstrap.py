"""What must exist before the first request: the organisation `default`, its administrator and a key."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from domain.audit.events import Actor, AuditName, Event
from domain.identity.api_keys import NewApiKey, key_hash
from domain.identity.organisations import NewOrganisation
from domain.identity.permissions import DEFAULT_ORGANISATION, Principal, role_permissions
from domain.identity.principals import NewPrincipal
from domain.identity.records import SIGNING_KEY
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.database import Database, Transaction
from storage.identity.commands.api_keys import create_api_key
from storage.identity.commands.organisations import create_organisation
from storage.identity.commands.principals import create_principal
from storage.identity.queries.organisations import every_organisation, organisation_by_slug_or_id
from storage.identity.queries.principals import principal_named
from storage.keys import Signer
from storage.ledger.renewal import adopt_ledgers
from storage.secrets.envelope import SecretCipher

ADMIN = "admin"
_LOCK = 7_241_002


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What a start found or created."""

    org_id: UUID
    admin_id: UUID


async def bootstrap(
    database: Database,
    admin_key: str | None,
    signer: Signer,
    cipher: SecretCipher,
    *,
    show_key: Callable[[str], None] | None = None,
) -> Bootstrap:
    """Create what is missing; safe to run at every start and in several processes at once.

    A configured `admin_key` is added to the administrator's keys. With `show_key`, a random key is created if the
    administrator has none. It is shown before it is stored: if the process is killed in between, the next start shows
    another, whereas a key that is stored but was never shown would be lost.
    """
    async with database.transaction() as tx:
        await tx.value("SELECT pg_advisory_xact_lock($1)", _LOCK)
        org_id, admin_id = await _organisation_and_admin(tx)
        await _register_keys(tx, signer, cipher, Actor(admin_id))
        if admin_key is not None:
            await _fix_admin_key(tx, org_id, admin_id, admin_key)
        elif show_key and not await tx.value("SELECT true FROM api_keys WHERE principal_id = $1 LIMIT 1", admin_id):
            show_key(await _new_key(tx, org_id, admin_id, None))
        return Bootstrap(org_id, admin_id)


def everybody(found: Bootstrap) -> Principal:
    """Return the principal of every caller while authentication is off: the administrator of `default`."""
    return Principal(
        id=found.admin_id,
        kind="system",
        org_id=found.org_id,
        org_slug=DEFAULT_ORGANISATION,
        role=ADMIN,
        permissions=role_permissions(ADMIN, DEFAULT_ORGANISATION),
    )


async def _organisation_and_admin(tx: Transaction) -> tuple[UUID, UUID]:
    existing = await organisation_by_slug_or_id(tx, DEFAULT_ORGANISATION)
    admin_id = await principal_named(tx, ADMIN)
    if existing and admin_id:
        return existing.id, admin_id
    founder = tx.new_id()
    organisation = await create_organisation(tx, NewOrganisation(DEFAULT_ORGANISATION, "Default"), Actor(founder))
    await create_principal(
        tx, organisation.tenant, NewPrincipal("user", ADMIN, ADMIN, founder, name=ADMIN), Actor(founder)
    )
    return organisation.id, founder


async def _fix_admin_key(tx: Transaction, org_id: UUID, admin_id: UUID, text: str) -> None:
    if not await tx.value("SELECT true FROM api_keys WHERE sha256 = $1", key_hash(text)):
        await _new_key(tx, org_id, admin_id, text)


async def _new_key(tx: Transaction, org_id: UUID, admin_id: UUID, text: str | None) -> str:
    new = NewApiKey(admin_id, "first administrator key", text=text)
    _, made = await create_api_key(tx, Tenant(org_id, DEFAULT_ORGANISATION), new, Actor(admin_id))
    return made


_NAMED = """
SELECT EXISTS (SELECT FROM signing_keys WHERE is_current AND key_id = $1)
   AND EXISTS (SELECT FROM master_keys WHERE is_current AND key_id = $2)
"""
_REPLACED = "UPDATE signing_keys SET is_current = false WHERE key_id <> $1 AND is_current RETURNING key_id"
_REGISTER = """
INSERT INTO signing_keys (key_id, public_key, created_at, is_current) VALUES ($1, $2, $3, true)
ON CONFLICT (key_id) DO UPDATE SET is_current = true
"""
_REPLACED_MASTER = "UPDATE master_keys SET is_current = false WHERE key_id <> $1 AND is_current"
_REGISTER_MASTER = """
INSERT INTO master_keys (key_id, created_at, is_current) VALUES ($1, $2, true)
ON CONFLICT (key_id) DO UPDATE SET is_current = true
"""


async def _register_keys(tx: Transaction, signer: Signer, cipher: SecretCipher, actor: Actor) -> None:
    """Name the keys in use, so that no process starts with others; seal the rotation of the signing key.

    Write nothing if they are named: a process can then start while the database accepts no changes.
    """
    if await tx.value(_NAMED, signer.key_id, cipher.key_id):
        return
    replaced = await tx.value(_REPLACED, signer.key_id)
    await tx.execute(_REGISTER, signer.key_id, signer.public_key, tx.now)
    if not await tx.value("SELECT EXISTS (SELECT FROM master_keys)"):
        await adopt_ledgers(tx)  # of an earlier version; open_keyring refuses a database whose row somebody deleted
    await register_master_key(tx, cipher)
    if replaced:
        for organisation in await every_organisation(tx):
            await append(tx, organisation.tenant, [_rotation(tx, actor, replaced, signer)])


async def register_master_key(tx: Transaction, cipher: SecretCipher) -> None:
    """Name the master key in use."""
    await tx.execute(_REPLACED_MASTER, cipher.key_id)
    await tx.execute(_REGISTER_MASTER, cipher.key_id, tx.now)


def _rotation(tx: Transaction, actor: Actor, replaced: str, signer: Signer) -> Event:
    public_key = base64.b64encode(signer.public_key).decode()
    payload = {"replacedKeyId": replaced, "keyId": signer.key_id, "publicKey": public_key}
    return Event(AuditName.SIGNING_KEY_ROTATED, actor, SIGNING_KEY, {"id": tx.new_id()}, payload)
