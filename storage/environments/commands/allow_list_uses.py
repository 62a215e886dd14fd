"""Recording what allow-lists let through."""

from collections.abc import Iterable

from domain.audit.events import Actor, AuditName, Event
from domain.environments.allow_list import NewUse
from domain.environments.records import ALLOWLIST_USE
from domain.tenant import Tenant
from storage.audit.commands import append_in_portions
from storage.batches import Batch, BatchInsert
from storage.database import Row, Transaction
from storage.environments.tables import allowlist_uses

_RECORD = Batch(
    BatchInsert(
        allowlist_uses,
        ("id", *NewUse._fields),
        shared=("org_id", "created_at"),
        conflict="(entry_id, name, digest) DO NOTHING",
    ),
    returning="id",
)


async def record_uses(tx: Transaction, tenant: Tenant, uses: Iterable[NewUse], actor: Actor) -> None:
    """Record what entries let through, with an audit event for each entry, name and digest the first time."""
    shared = {"org_id": tenant.org_id, "created_at": tx.now}
    rows = [{"id": tx.new_id(), **use._asdict()} for use in sorted(set(uses))]
    if not rows:
        return
    first = {row["id"] for row in await _RECORD.write_returning(tx, shared, rows)}
    new = [{**shared, **row} for row in rows if row["id"] in first]
    await append_in_portions(tx, tenant, (_event(actor, row) for row in new))


def _event(actor: Actor, row: Row) -> Event:
    environment_id, digest = row["environment_id"], row["digest"]
    payload = {
        "entryId": str(row["entry_id"]),
        "environmentId": str(environment_id),
        "sha256": digest,
        "artifactName": row["name"],
    }
    return Event(
        AuditName.ALLOWLIST_USED, actor, ALLOWLIST_USE, row, payload, environment_id=environment_id, digest=digest
    )
