"""Adding to allow-lists, removing from them, and recording what they let through."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from domain.audit.events import Actor, AuditName, Event
from domain.audit.records import RecordForm
from domain.environments.allow_list import AllowListEntry, NewEntry, check_entry, check_room
from domain.environments.artifacts import Running
from domain.environments.records import ALLOWLIST_ENTRY, ALLOWLIST_REMOVAL, ALLOWLIST_USE
from domain.errors import Conflict
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.batches import Batch, BatchInsert
from storage.database import Row, Transaction
from storage.environments.commands.deployments import APPENDED_AT_ONCE
from storage.environments.commands.holding import held_environment
from storage.environments.queries.allow_list import effective_entries, read_entry
from storage.environments.tables import allowlist_uses
from storage.rows import insert, to_row

_USE = Batch(
    BatchInsert(
        allowlist_uses,
        ("id", "entry_id", "name", "digest"),
        shared=("org_id", "environment_id", "created_at"),
        conflict="(entry_id, name, digest) DO NOTHING",
    ),
    returning="id",
)


async def add_entry(
    tx: Transaction, tenant: Tenant, environment_id: UUID, new: NewEntry, actor: Actor
) -> AllowListEntry:
    """Add an entry to the allow-list of an environment.

    Raises NotFound for the environment, Invalid for an entry that cannot be used, Conflict when the list is full.
    """
    await held_environment(tx, tenant, environment_id)
    check_entry(new, tx.now)
    effective = await effective_entries(tx, tenant, environment_id, tx.now)
    await asyncio.to_thread(check_room, effective, new)
    row = {
        "id": tx.new_id(),
        "org_id": tenant.org_id,
        "environment_id": environment_id,
        **to_row(new),
        "added_by": actor.principal_id,
        "created_at": tx.now,
    }
    await insert(tx, "allowlist", row)
    entry = await read_entry(tx, tenant, environment_id, row["id"])
    await append(tx, tenant, [_changed(AuditName.ALLOWLIST_ADDED, actor, ALLOWLIST_ENTRY, row, entry)])
    return entry


async def remove_entry(
    tx: Transaction, tenant: Tenant, environment_id: UUID, entry_id: UUID, actor: Actor
) -> AllowListEntry:
    """Remove an entry, which stays in the list as removed.

    Raises NotFound for the environment or the entry, Conflict if it was removed before.
    """
    await held_environment(tx, tenant, environment_id)
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
    await append(tx, tenant, [_changed(AuditName.ALLOWLIST_REMOVED, actor, ALLOWLIST_REMOVAL, row, entry)])
    return replace(entry, removed_at=tx.now)


async def record_uses(
    tx: Transaction, tenant: Tenant, environment_id: UUID, uses: Mapping[Running, AllowListEntry], actor: Actor
) -> None:
    """Record what entries let through, with an audit event for each entry, name and digest the first time."""
    shared = {"org_id": tenant.org_id, "environment_id": environment_id, "created_at": tx.now}
    once = sorted({(entry.id, artifact.name, artifact.digest) for artifact, entry in uses.items()})
    rows = [{"id": tx.new_id(), "entry_id": entry, "name": name, "digest": digest} for entry, name, digest in once]
    first = {row["id"] for row in await _USE.write_returning(tx, shared, rows)} if rows else set()
    new = [{**shared, **row} for row in rows if row["id"] in first]
    for start in range(0, len(new), APPENDED_AT_ONCE):
        await append(tx, tenant, [_used(actor, row) for row in new[start : start + APPENDED_AT_ONCE]])


def _changed(name: AuditName, actor: Actor, form: RecordForm, row: Row, entry: AllowListEntry) -> Event:
    payload = {
        "entryId": str(entry.id),
        "environmentId": str(entry.environment_id),
        "sha256": entry.digest,
        "artifactName": entry.name,
        "namePattern": entry.pattern,
        "reason": entry.reason,
        "expiresAt": entry.expires_at,
    }
    return Event(name, actor, form, row, payload, environment_id=entry.environment_id, digest=entry.digest)


def _used(actor: Actor, row: Row) -> Event:
    payload = {
        "entryId": str(row["entry_id"]),
        "environmentId": str(row["environment_id"]),
        "sha256": row["digest"],
        "artifactName": row["name"],
    }
    name, environment_id = AuditName.ALLOWLIST_USED, row["environment_id"]
    return Event(name, actor, ALLOWLIST_USE, row, payload, environment_id=environment_id, digest=row["digest"])
