"""Adding to allow-lists and removing from them."""

import asyncio
from dataclasses import replace
from uuid import UUID

from domain.audit.events import Actor, AuditName, Event
from domain.audit.records import RecordForm
from domain.environments.allow_list import AllowListEntry, NewEntry, check_entry, check_room
from domain.environments.records import ALLOWLIST_ENTRY, ALLOWLIST_REMOVAL
from domain.errors import Conflict
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.database import Row, Transaction
from storage.environments.commands.drift import check_drift
from storage.environments.holding import hold_environment
from storage.environments.queries.allow_list import effective_entries, read_entry
from storage.rows import insert, to_row


async def add_entry(
    tx: Transaction, tenant: Tenant, environment_id: UUID, new: NewEntry, actor: Actor
) -> AllowListEntry:
    """Add an entry to the allow-list of an environment, and compare what runs there with the baseline again.

    Raises NotFound for the environment, Invalid for an entry that cannot be used, Conflict when the list is full.
    """
    held = await hold_environment(tx, tenant, environment_id)
    check_entry(new, tx.now)
    effective = await effective_entries(tx, tenant, [environment_id], tx.now)
    await asyncio.to_thread(check_room, effective[environment_id], new)
    row = {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "environment_id": environment_id,
        **to_row(new),
        "added_by": actor.principal_id,
        "created_at": tx.now,
    }
    await insert(tx, "allowlist", row)
    await append(tx, tenant, [_event(AuditName.ALLOWLIST_ADDED, actor, ALLOWLIST_ENTRY, row, row)])
    await check_drift(tx, tenant, [held], actor)
    return await read_entry(tx, tenant, environment_id, row["id"])


async def remove_entry(
    tx: Transaction, tenant: Tenant, environment_id: UUID, entry_id: UUID, actor: Actor
) -> AllowListEntry:
    """Remove an entry, which stays in the list as removed, and compare what runs with the baseline again.

    Raises NotFound for the environment or the entry, Conflict if it was removed before.
    """
    held = await hold_environment(tx, tenant, environment_id)
    entry = await read_entry(tx, tenant, environment_id, entry_id)
    if entry.removed_at is not None:
        raise Conflict(f"The allow-list entry {entry_id} was removed before.", "state")
    row = {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "environment_id": environment_id,
        "entry_id": entry_id,
        "removed_by": actor.principal_id,
        "created_at": tx.now,
    }
    await insert(tx, "allowlist_removals", row)
    await append(tx, tenant, [_event(AuditName.ALLOWLIST_REMOVED, actor, ALLOWLIST_REMOVAL, row, to_row(entry))])
    await check_drift(tx, tenant, [held], actor)
    return replace(entry, removed_at=tx.now)


def _event(name: AuditName, actor: Actor, form: RecordForm, row: Row, entry: Row) -> Event:
    payload = {
        "entryId": str(entry["id"]),
        "environmentId": str(entry["environment_id"]),
        "sha256": entry["digest"],
        "artifactName": entry["name"],
        "namePattern": entry["pattern"],
        "reason": entry["reason"],
        "expiresAt": entry["expires_at"],
    }
    return Event(name, actor, form, row, payload, environment_id=entry["environment_id"], digest=entry["digest"])
