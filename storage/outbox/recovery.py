"""Recovery by an operator: replay dead letters, enable a disabled destination."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from domain.errors import Conflict
from domain.tenant import Tenant
from storage.database import Transaction
from storage.outbox.queries import (
    Destination,
    get_destination,
    get_message,
    no_such_destination,
)
from storage.rows import columns, from_row
from storage.schedule.wakeups import Job

REPLAY_BATCH = 10_000
"""Dead letters queued by one call, oldest first."""


@dataclass(frozen=True, slots=True)
class Dead:
    """Selects dead letters by organisation, destination and ids; None does not restrict."""

    tenant: Tenant | None = None
    destination_id: UUID | None = None
    message_ids: Sequence[UUID] | None = None


_REPLAY = f"""
WITH dead AS (
  SELECT m.id, m.org_id, m.destination_id, m.subject
  FROM messages m JOIN destinations d ON d.id = m.destination_id AND d.disabled_at IS NULL
  WHERE m.status = 'FAILED' AND ($1::uuid IS NULL OR m.org_id = $1)
    AND ($2::uuid IS NULL OR m.destination_id = $2) AND ($3::uuid[] IS NULL OR m.id = ANY($3))
  ORDER BY m.org_id, m.created_at, m.id LIMIT {REPLAY_BATCH} FOR UPDATE OF m
), revived AS (
  UPDATE messages m SET status = 'PENDING', error = NULL, settled_at = NULL FROM dead WHERE m.id = dead.id
)
INSERT INTO outbox (message_id, org_id, destination_id, subject, due_at, attempts)
SELECT id, org_id, destination_id, subject, $4, 0 FROM dead
ON CONFLICT (message_id) DO NOTHING
"""


async def replay(tx: Transaction, dead: Dead) -> int:
    """Queue dead letters again, each with the full retry schedule; return how many.

    Those of disabled destinations stay. A message keeps its id, so that the receiver can recognise a repetition.
    """
    tx.wake(Job.RELAY)
    org_id = dead.tenant.org_id if dead.tenant else None
    ids = None if dead.message_ids is None else list(dead.message_ids)
    return await tx.execute(_REPLAY, org_id, dead.destination_id, ids, tx.now)


async def replay_message(tx: Transaction, tenant: Tenant, message_id: UUID) -> None:
    """Queue one dead letter again. A message that is already queued is left as it is, so a request can be repeated.

    Raises NotFound, and Conflict if the message is no dead letter or its destination is disabled.
    """
    message = await get_message(tx, tenant, message_id)
    if message.status == "PENDING":
        return
    if message.status != "FAILED":
        raise Conflict(f"This delivery is {message.status}; only FAILED deliveries can be replayed.", kind="state")
    await _check_enabled(tx, tenant, message.destination_id)
    await replay(tx, Dead(tenant, message_ids=[message_id]))


async def replay_destination(tx: Transaction, tenant: Tenant, destination_id: UUID) -> int:
    """Queue a destination's dead letters again; return how many. Raises NotFound, and Conflict if it is disabled."""
    await _check_enabled(tx, tenant, destination_id)
    return await replay(tx, Dead(tenant, destination_id))


async def _check_enabled(tx: Transaction, tenant: Tenant, destination_id: UUID) -> None:
    destination = await get_destination(tx, tenant, destination_id)
    if destination.disabled_at:
        raise Conflict(
            f"The destination is disabled: {destination.disabled_reason} "
            f"Enable it first: POST /api/v1/destinations/{destination_id}/enable",
            kind="state",
        )


_ENABLE = f"""
WITH waiting AS (
  SELECT message_id FROM outbox
  WHERE org_id = $1 AND destination_id = $2 AND claim_id IS NULL AND due_at > $3
  FOR UPDATE SKIP LOCKED
), called AS (
  UPDATE outbox o SET due_at = $3 FROM waiting WHERE o.message_id = waiting.message_id
)
UPDATE destinations
SET disabled_at = NULL, disabled_reason = NULL, failures = 0, failing_since = NULL, told = NULL, paused_at = NULL,
    paused_until = NULL
WHERE org_id = $1 AND id = $2
RETURNING {columns(Destination)}
"""
"""Locked rows are skipped: another transaction is claiming or rescheduling them, and waiting could cause a deadlock."""


_destination = from_row(Destination)


async def enable_destination(tx: Transaction, tenant: Tenant, destination_id: UUID) -> Destination:
    """Enable a destination and reset its health; waiting messages are due at once. Raises NotFound."""
    row = await tx.row(_ENABLE, tenant.org_id, destination_id, tx.now)
    if row is None:
        raise no_such_destination(destination_id)
    tx.wake(Job.RELAY)
    return _destination(row)
