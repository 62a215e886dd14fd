"""Storing verdicts of every kind."""

from collections.abc import Sequence

from domain.audit.events import Event
from domain.tenant import Tenant
from storage.audit.commands import append
from storage.batches import Batch, BatchInsert
from storage.counters import NO_PARENT
from storage.database import Row, Transaction
from storage.verdicts.tables import verdicts

_KEEP = Batch(
    BatchInsert(
        verdicts,
        ("id", "kind", "flow_id", "trail_id", "environment_id", "digest", "outcome", "inputs", "result", "decided_by"),
        shared=("org_id", "created_at"),
    )
)


async def keep_verdicts(tx: Transaction, tenant: Tenant, rows: Sequence[Row], events: Sequence[Event]) -> None:
    """Store verdicts, each with its audit event, and count them."""
    await _KEEP.write(tx, {"org_id": tenant.org_id, "created_at": tx.now}, rows)
    await append(tx, tenant, events, [("verdicts", NO_PARENT)] * len(rows))
