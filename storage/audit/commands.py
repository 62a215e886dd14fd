"""Writing audit events: in the transaction of the change they record, and queued for sealing."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from domain.audit.events import Event
from domain.audit.records import EVENT_COLUMNS, leaf, record_hash
from domain.canonical import canonical_json_of_stored, normalise
from domain.tenant import Tenant
from storage.audit.tables import audit_events, counter_deltas, unsealed
from storage.authenticator import Purpose, event_data
from storage.batches import Batch, BatchInsert
from storage.counters import NO_PARENT
from storage.database import Transaction
from storage.ids import randomness
from storage.schedule.wakeups import Job

_PORTION = 200
"""Events of one statement: some milliseconds of the event loop."""

_nonces = randomness(16)

_APPEND = Batch(
    BatchInsert(
        audit_events,
        (
            *(name for name in EVENT_COLUMNS if name not in {"org_id", "occurred_at"}),
            "format",
            "nonce",
            "record_hash",
            "leaf",
        ),
        shared=("org_id", "occurred_at"),
    ),
    BatchInsert(counter_deltas, ("id", "kind", "parent_id", "d"), shared=("org_id",)),
    BatchInsert(unsealed, ("event_id", "leaf", "mac"), shared=("org_id",)),
)


async def append(
    tx: Transaction, tenant: Tenant, events: Sequence[Event], counts: Iterable[tuple[str, UUID]] = ()
) -> list[UUID]:
    """Write the events of one action, queue them for sealing, and return their ids in order.

    `counts` lists the counters, as (kind, parent id), that the action increments: by one for each time listed.
    """
    rows = [_row(tx, tenant, event) for event in events]
    totals = Counter([("audit", NO_PARENT)] * len(rows) + list(counts))
    deltas = [
        {"id": tx.new_id(), "kind": kind, "parent_id": parent, "d": number} for (kind, parent), number in totals.items()
    ]
    tx.wake(Job.SEAL)
    tx.audited.add(tenant.org_id)
    await _APPEND.write(tx, {"org_id": tenant.org_id, "occurred_at": tx.now}, rows, deltas, rows)
    return [row["id"] for row in rows]


async def append_in_portions(tx: Transaction, tenant: Tenant, events: Iterable[Event]) -> None:
    """Write the events of an action that may have thousands, so that other requests get their turn meanwhile."""
    remaining = iter(events)
    while portion := list(islice(remaining, _PORTION)):
        await append(tx, tenant, portion)


_ERASE = "UPDATE audit_events SET payload = NULL, nonce = NULL, record_hash = NULL WHERE record_id = $1"


async def erase_contents(tx: Transaction, record_ids: Sequence[UUID]) -> None:
    """Erase the content of all events of these records: their leaves stay proven and cannot be guessed (ADR 0002).

    The caller then appends an event of `ERASURES` to each record, without which the erasure is a finding.
    """
    await tx.execute("SET LOCAL trailgate.retention = 'erasure'")
    for record_id in record_ids:  # one by one: for many at once, PostgreSQL would read the whole table
        await tx.execute(_ERASE, record_id)
    await tx.execute("SET LOCAL trailgate.retention = 'off'")


def _row(tx: Transaction, tenant: Tenant, event: Event) -> dict[str, Any]:
    form, record, nonce = event.form, event.record, next(_nonces)
    event_id = tx.new_id()
    declared = {
        "id": event_id,
        "org_id": tenant.org_id,
        "name": event.name.value,
        "actor_id": event.actor.principal_id,
        "credential_id": event.actor.credential_id,
        "record_kind": form.kind,
        "record_id": record[form.id_column],
        "record_version": record[form.version_column] if form.version_column else 1,
        "trail_id": event.trail_id,
        "environment_id": event.environment_id,
        "digest": event.digest,
        "payload": normalise(event.payload),
        "occurred_at": tx.now,
        "region": event.actor.region,
        "request_id": event.actor.request_id,
    }
    hash_of_record = record_hash(form, record)
    sealed = leaf(form.format, nonce, canonical_json_of_stored(declared), hash_of_record)  # as event_text
    return {
        **declared,
        "event_id": event_id,
        "format": form.format,
        "nonce": nonce,
        "record_hash": hash_of_record,
        "leaf": sealed,
        "mac": tx.authenticator.mac(Purpose.EVENT, event_data(tenant.org_id, event_id, sealed)),
    }
