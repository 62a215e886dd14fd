"""Registering and withdrawing the public keys of whoever signs provenance."""

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from domain.audit.events import Actor, AuditName, Event
from domain.errors import Conflict, NotFound
from domain.facts.provenance import MAX_KEYS, KeyAlgorithm, ProvenanceKey
from domain.facts.records import PROVENANCE_KEY
from storage.audit.commands import append
from storage.database import Row, Transaction
from storage.facts.queries.provenance_keys import active_keys, key_of
from storage.rows import insert
from storage.tenant import Tenant


@dataclass(frozen=True, slots=True)
class NewProvenanceKey:
    """A key to be registered. `key_id` is what signatures call it, `public_key` its SPKI PEM."""

    name: str
    key_id: str
    algorithm: KeyAlgorithm
    public_key: str


async def create_provenance_key(tx: Transaction, tenant: Tenant, new: NewProvenanceKey, actor: Actor) -> ProvenanceKey:
    """Register a key. Raises Conflict for a taken name or key id, and when the organisation has MAX_KEYS already."""
    await _check_room(tx, tenant, new)
    row: Row = {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "name": new.name,
        "key_id": new.key_id,
        "algorithm": new.algorithm.value,
        "public_key": new.public_key,
        "version": 1,
        "created_at": tx.now,
        "archived_at": None,
    }
    try:
        await insert(tx, "provenance_keys", row)
    except asyncpg.UniqueViolationError as error:
        raise Conflict(f"A provenance key named '{new.name}' exists already.") from error
    await append(tx, tenant, [_event(AuditName.PROVENANCE_KEY_CREATED, actor, row)])
    return key_of(row)


async def _check_room(tx: Transaction, tenant: Tenant, new: NewProvenanceKey) -> None:
    """The organisation's row is held, so that two registrations see each other."""
    await tx.execute("SELECT FROM organisations WHERE id = $1 FOR NO KEY UPDATE", tenant.org_id)
    keys = await active_keys(tx, tenant)
    same = next((key for key in keys if key.key_id == new.key_id), None)
    if same:
        raise Conflict(f"The key id {new.key_id} is registered already, as '{same.name}'.")
    if len(keys) >= MAX_KEYS:
        raise Conflict(f"An organisation has at most {MAX_KEYS} provenance keys; delete one first.", kind="state")


_ARCHIVE = """
UPDATE provenance_keys SET archived_at = $3, version = version + 1
WHERE org_id = $1 AND id = $2 AND archived_at IS NULL
RETURNING *
"""


async def delete_provenance_key(tx: Transaction, tenant: Tenant, key_id: UUID, actor: Actor) -> ProvenanceKey:
    """Let a key count no longer, in checks from now on. The answer is the key at its end. Raises NotFound."""
    row = await tx.row(_ARCHIVE, tenant.org_id, key_id, tx.now)
    if row is None:
        raise NotFound(f"There is no provenance key {key_id}.")
    await append(tx, tenant, [_event(AuditName.PROVENANCE_KEY_DELETED, actor, row)])
    return key_of(row)


def _event(name: AuditName, actor: Actor, row: Row) -> Event:
    payload = {
        "provenanceKeyId": str(row["id"]),
        "name": row["name"],
        "keyId": row["key_id"],
        "algorithm": row["algorithm"],
    }
    return Event(name, actor, PROVENANCE_KEY, row, payload)
