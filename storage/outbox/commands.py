"""The transactional outbox: messages are written with the fact that causes them, claimed with a lease, settled once."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.tenant import Tenant
from storage.batches import Rows
from storage.database import Transaction
from storage.outbox.tables import messages
from storage.schedule.wakeups import Job

_DESTINATION = """
INSERT INTO destinations (id, org_id, channel, address_sha256, label, failures, created_at)
VALUES ($1, $2, $3, $4, $5, 0, $6)
ON CONFLICT (org_id, channel, address_sha256) DO UPDATE SET label = excluded.label
RETURNING id
"""


async def destination_for(tx: Transaction, tenant: Tenant, channel: str, address: str, label: str) -> UUID:
    """Return the id of the destination with this address; create it if it is new.

    `address` identifies a destination within its channel (a URL, an e-mail address); only its hash is stored, because
    it may be a secret. `label` is what people see.
    """
    digest = hashlib.sha256(address.encode()).digest()
    made: UUID = await tx.value(_DESTINATION, tx.new_id(), tenant.org_id, channel, digest, label, tx.now)
    return made


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to send. Messages with the same `subject` reach a destination in order.

    `id` is set for a message that may be stored only once, however often it is queued.
    """

    destination_id: UUID
    channel: str
    event: str
    subject: str
    payload: Mapping[str, Any]
    rule_id: UUID | None = None
    id: UUID | None = None


_MESSAGES = Rows.of(messages, "id", "destination_id", "channel", "event", "subject", "payload", "rule_id")
_ENQUEUE = f"""
WITH new AS (
  SELECT m.*, d.disabled_at
  FROM {_MESSAGES.source("m", 3)}
  JOIN destinations d ON d.id = m.destination_id AND d.org_id = $1
), kept AS (
  INSERT INTO messages (id, org_id, destination_id, rule_id, channel, event, subject, payload, status, error,
                        attempts, created_at, settled_at)
  SELECT id, $1, destination_id, rule_id, channel, event, subject, payload,
         CASE WHEN disabled_at IS NULL THEN 'PENDING' ELSE 'SKIPPED' END,
         CASE WHEN disabled_at IS NOT NULL THEN 'The destination is disabled.' END,
         0, $2, CASE WHEN disabled_at IS NOT NULL THEN $2::timestamptz END
  FROM new ORDER BY id
  ON CONFLICT (id) DO NOTHING
  RETURNING id
)
INSERT INTO outbox (message_id, org_id, destination_id, subject, due_at, attempts)
SELECT id, $1, destination_id, subject, $2, 0 FROM new
WHERE disabled_at IS NULL AND (id IN (SELECT id FROM kept)) IS TRUE
"""
"""In the order of the ids, so that transactions which store the same message do not wait for each other in a circle."""


async def enqueue(tx: Transaction, tenant: Tenant, new: Sequence[NewMessage]) -> list[UUID]:
    """Store messages and queue them, in the transaction of the fact they report; return their ids in order.

    A message to a disabled destination is stored as SKIPPED and not queued.
    """
    ids = [message.id or tx.new_id() for message in new]
    rows = [
        {
            "id": message_id,
            "destination_id": message.destination_id,
            "channel": message.channel,
            "event": message.event,
            "subject": message.subject,
            "payload": dict(message.payload),
            "rule_id": message.rule_id,
        }
        for message_id, message in zip(ids, new, strict=True)
    ]
    if rows:
        tx.wake(Job.RELAY)
        await tx.execute(_ENQUEUE, tenant.org_id, tx.now, *_MESSAGES.arrays(rows))
    return ids
