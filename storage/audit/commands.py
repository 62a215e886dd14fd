"""Writing audit events: with the change they tell of, in its transaction, ready to be sealed."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from domain.audit.events import Event
from domain.audit.records import EVENT_COLUMNS, leaf
from domain.canonical import normalise
from storage.database import Transaction, columns_of
from storage.schedule.wakeups import Job
from storage.tenant import Tenant

NONCE_BYTES = 16
NO_PARENT = UUID(int=0)
"""The parent of a counter over the whole organisation."""

_APPEND = """
WITH events AS (
  INSERT INTO audit_events (id, org_id, name, actor_id, credential_id, record_kind, record_id, record_version,
                            trail_id, environment_id, digest, payload, occurred_at, region, request_id,
                            format, nonce, leaf)
  SELECT e.id, $1, e.name, e.actor_id, e.credential_id, e.record_kind, e.record_id, e.record_version,
         e.trail_id, e.environment_id, e.digest, e.payload, $2, e.region, e.request_id, e.format, e.nonce, e.leaf
  FROM unnest($3::uuid[], $4::text[], $5::uuid[], $6::uuid[], $7::text[], $8::uuid[], $9::int[], $10::uuid[],
              $11::uuid[], $12::text[], $13::jsonb[], $14::text[], $15::text[], $16::smallint[], $17::bytea[],
              $18::bytea[])
    AS e(id, name, actor_id, credential_id, record_kind, record_id, record_version, trail_id, environment_id, digest,
         payload, region, request_id, format, nonce, leaf)
), counted AS (
  INSERT INTO counter_deltas (id, org_id, kind, parent_id, d)
  SELECT c.id, $1, c.kind, c.parent_id, c.d
  FROM unnest($19::uuid[], $20::text[], $21::uuid[], $22::int[]) AS c(id, kind, parent_id, d)
)
INSERT INTO unsealed (org_id, event_id, leaf)
SELECT $1, u.id, u.leaf FROM unnest($3::uuid[], $18::bytea[]) AS u(id, leaf)
"""


async def append(
    tx: Transaction, tenant: Tenant, events: Sequence[Event], counts: Iterable[tuple[str, UUID]] = ()
) -> list[UUID]:
    """Write the events of one action and queue them for sealing; the answer is their ids, in order.

    `counts` names the totals that the same action raises by one each, as (kind, parent id): they ride along.
    """
    rows = [_row(tx, tenant, event) for event in events]
    totals = Counter([("audit", NO_PARENT)] * len(rows) + list(counts))
    deltas = [(tx.new_id(), kind, parent, number) for (kind, parent), number in totals.items()]
    tx.ring(Job.SEAL)
    await tx.execute(_APPEND, tenant.org_id, tx.now, *columns_of(rows, 16), *columns_of(deltas, 4))
    return [row[0] for row in rows]


def _row(tx: Transaction, tenant: Tenant, event: Event) -> tuple[Any, ...]:
    form, record, nonce = event.form, event.record, os.urandom(NONCE_BYTES)
    declared = {
        "id": tx.new_id(),
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
    written = [declared[name] for name in EVENT_COLUMNS if name not in {"org_id", "occurred_at"}]
    return (*written, form.format, nonce, leaf(form, nonce, declared, record))
