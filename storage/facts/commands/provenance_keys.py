"""Registering and deleting the public keys that verify provenance."""

from domain.audit.events import Actor
from domain.errors import Conflict
from domain.facts.provenance import MAX_KEYS, NewProvenanceKey, ProvenanceKey
from domain.facts.records import PROVENANCE_KEY
from domain.identity.quotas import FixedLimit
from domain.tenant import Tenant
from storage.database import Transaction
from storage.definitions import Commands, Definition
from storage.facts.queries.provenance_keys import active_keys, key_of
from storage.facts.tables import provenance_keys
from storage.identity.queries.organisations import held_organisation

KEYS = Definition(
    "provenance key",
    PROVENANCE_KEY,
    provenance_keys,
    shown={"name": "name", "keyId": "key_id", "algorithm": "algorithm"},
    taken={"provenance_keys_name_key": "A provenance key named '{name}' exists already."},
)

_PLAIN = Commands(KEYS, key_of)
delete_provenance_key = _PLAIN.delete
"""Archive a key, so that future checks do not use it."""


async def create_provenance_key(tx: Transaction, tenant: Tenant, new: NewProvenanceKey, actor: Actor) -> ProvenanceKey:
    """Register a key. Raises Conflict for a taken name or key id, and when the organisation has MAX_KEYS already."""
    await _check_limit(tx, tenant, new)
    return await _PLAIN.create(tx, tenant, new, actor)


async def _check_limit(tx: Transaction, tenant: Tenant, new: NewProvenanceKey) -> None:
    """Check the key id and the number of keys, with the organisation locked so that registrations run in turn."""
    await held_organisation(tx, tenant)
    keys = await active_keys(tx, tenant)
    same = next((key for key in keys if key.key_id == new.key_id), None)
    if same:
        raise Conflict(f"The key id {new.key_id} is registered already, as '{same.name}'.")
    if len(keys) >= MAX_KEYS:
        message = f"An organisation has at most {MAX_KEYS} provenance keys; delete one first."
        raise Conflict(message, "state", limit=FixedLimit.PROVENANCE_KEYS)
