"""The inbox: deliveries are accepted durably, claimed with a lease, then processed, retried or dead-lettered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from domain.tenant import Tenant
from storage.batches import Rows
from storage.database import Transaction
from storage.fairness import organisations_waiting
from storage.inbox.codes import code_of
from storage.inbox.tables import deliveries, inbox_bodies
from storage.rows import from_row
from storage.schedule.wakeups import Job


@dataclass(frozen=True, slots=True)
class Arrival:
    """A delivery whose authentication succeeded and that is not stored yet.

    `signed` is True for a signature and False for a token, if the sender may use either; None for other senders.
    `once_per_body`: a second delivery of the same body is a copy, whatever its id (`integrations.contract.Verified`).
    """

    org_id: UUID
    config_id: UUID
    source: str
    delivery_id: str
    event: str | None
    headers: Mapping[str, str]
    body: bytes
    body_sha256: bytes
    signed: bool | None = None
    once_per_body: bool = False

    @property
    def identity(self) -> str:
        """What a copy has in common with the first delivery."""
        return f"sha256:{self.body_sha256.hex()}" if self.once_per_body else self.delivery_id

    @property
    def key(self) -> tuple[UUID, str]:
        """The config and the identity, by which a copy is recognised."""
        return self.config_id, self.identity


@dataclass(frozen=True, slots=True)
class Receipt:
    """The receipt for the sender: the delivery is stored. `fresh` is False for a copy of a known delivery."""

    id: UUID
    fresh: bool


_ARRIVALS = Rows(
    {
        **Rows.of(
            deliveries, "id", "org_id", "config_id", "source", "delivery_id", "identity", "event", "body_sha256"
        ).types,
        **Rows.of(inbox_bodies, "headers", "body", "mac").types,
        "signed": "bool",
        "copies": "int",
    }
)
_ACCEPT = f"""
WITH arrived AS (
  SELECT * FROM {_ARRIVALS.source("a", 2)}
  WHERE EXISTS (
    SELECT FROM webhook_configs c WHERE c.id = a.config_id AND c.is_active AND c.archived_at IS NULL
      AND (a.signed IS NOT FALSE OR c.signed_at IS NULL)
  )
), signing AS (
  UPDATE webhook_configs SET signed_at = $1
  WHERE id IN (
    SELECT id FROM webhook_configs WHERE signed_at IS NULL AND id IN (SELECT config_id FROM arrived WHERE signed)
    ORDER BY id FOR UPDATE
  )
), kept AS (
  INSERT INTO deliveries AS d (id, org_id, config_id, source, delivery_id, identity, event, body_id, body_sha256,
                               status, duplicates, received_at)
  SELECT id, org_id, config_id, source, delivery_id, identity, event, id, body_sha256, 'PENDING', copies, $1
  FROM arrived
  ON CONFLICT (config_id, identity) DO UPDATE
  SET duplicates = d.duplicates + 1 + excluded.duplicates,
      body_id = CASE WHEN d.status = 'FAILED' THEN excluded.body_id ELSE d.body_id END,
      body_sha256 = CASE WHEN d.status = 'FAILED' THEN excluded.body_sha256 ELSE d.body_sha256 END,
      status_message = CASE WHEN d.status = 'FAILED' THEN NULL ELSE d.status_message END,
      error = CASE WHEN d.status = 'FAILED' THEN NULL ELSE d.error END,
      status = CASE WHEN d.status = 'FAILED' THEN 'PENDING' ELSE d.status END
  RETURNING d.id, d.org_id, d.body_id, d.config_id, d.identity
), bodies AS (
  INSERT INTO inbox_bodies (id, headers, body, accepted_at, mac)
  SELECT id, headers, body, $1, mac FROM arrived WHERE (id IN (SELECT body_id FROM kept)) IS TRUE
), queued AS (
  INSERT INTO inbox (delivery_id, org_id, due_at, attempts)
  SELECT id, org_id, $1, 0 FROM kept WHERE (body_id IN (SELECT id FROM arrived)) IS TRUE
  ON CONFLICT (delivery_id) DO NOTHING
)
SELECT config_id, identity, id FROM kept
"""
"""Queues the deliveries that got one of these bodies: new ones, and dead letters that were sent again.

PostgreSQL evaluates `(… IN …) IS TRUE` with a hash; written as a join, it would be a nested loop over all pairs,
because the planner cannot estimate the sizes.
"""


async def accept(tx: Transaction, arrivals: Sequence[Arrival]) -> list[Receipt | None]:
    """Store deliveries and queue them; return the receipts in the order of `arrivals`.

    The receipt is None if the config is no longer active, or no longer accepts a token: the caller may have
    authenticated the delivery with a cached config, so the same statement that stores the delivery checks the config.
    The first signed delivery of a sender that may also use a token is recorded in the config.
    A copy of a known delivery increments its counter and gets the first receipt. A copy of a dead letter replaces its
    body and queues it again: redelivery is how senders repair a failure.
    """
    first: dict[tuple[UUID, str], Arrival] = {}
    copies: dict[tuple[UUID, str], int] = {}
    keys = [arrival.key for arrival in arrivals]
    for key, arrival in zip(keys, arrivals, strict=True):
        first.setdefault(key, arrival)
        copies[key] = copies.get(key, -1) + 1
    rows = [_row(tx, arrival, copies[key]) for key, arrival in sorted(first.items())]
    tx.wake(Job.DRAIN)
    kept = await tx.rows(_ACCEPT, tx.now, *_ARRIVALS.arrays(rows))
    ours = {row["id"] for row in rows}
    receipts = {(row["config_id"], row["identity"]): Receipt(row["id"], row["id"] in ours) for row in kept}
    answers: list[Receipt | None] = []
    for key in keys:
        receipt = receipts.get(key)
        answers.append(receipt)
        if receipt:
            receipts[key] = Receipt(receipt.id, fresh=False)
    return answers


def _row(tx: Transaction, arrival: Arrival, copies: int) -> dict[str, Any]:
    new_id = tx.new_id()
    row: dict[str, Any] = {
        "id": new_id,
        "org_id": arrival.org_id,
        "config_id": arrival.config_id,
        "source": arrival.source,
        "delivery_id": arrival.delivery_id,
        "identity": arrival.identity,
        "event": arrival.event,
        "body_id": new_id,
        "body_sha256": arrival.body_sha256,
        "headers": dict(arrival.headers),
        "body": arrival.body,
        "accepted_at": tx.now,
        "signed": arrival.signed,
        "copies": copies,
    }
    row["mac"] = code_of(row, tx.authenticator)
    return row


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery leased to this worker. `attempts` counts this claim."""

    id: UUID
    org_id: UUID
    attempts: int


_CLAIM = """
UPDATE inbox SET claim_id = $4, due_at = $5, attempts = attempts + 1
WHERE delivery_id = ANY(ARRAY(
  SELECT i.delivery_id
  FROM unnest($1::uuid[]) AS o(org_id)
  CROSS JOIN LATERAL (
    SELECT delivery_id FROM inbox WHERE org_id = o.org_id AND due_at <= $2
    ORDER BY due_at, delivery_id LIMIT $3 FOR UPDATE SKIP LOCKED
  ) i
))
RETURNING delivery_id AS id, org_id, attempts
"""

_claimed = from_row(Claimed)


async def claim(tx: Transaction, claim_id: UUID, limit: int, lease: timedelta) -> list[Claimed]:
    """Lease up to about `limit` due deliveries, in equal shares for the organisations that have some.

    When a lease expires, the delivery is due again.
    """
    organisations = await organisations_waiting(tx, "inbox", "due_at <= $1", tx.now)
    if not organisations:
        return []
    share = -(-limit // len(organisations))
    rows = await tx.rows(_CLAIM, organisations, tx.now, share, claim_id, tx.now + lease)
    return [_claimed(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Done:
    """The outcome of a delivery: processed, or `failed` and a dead letter. `error` is the detail for operators."""

    id: UUID
    event_type: str | None
    message: str
    trail_id: UUID | None = None
    failed: bool = False
    error: str | None = None


class LostLease(Exception):  # noqa: N818
    """Another worker holds the lease of these deliveries now: the transaction must be rolled back."""


_RELEASE = "DELETE FROM inbox WHERE claim_id = $1 AND delivery_id = ANY($2::uuid[])"
_OUTCOMES = Rows.of(deliveries, "id", "status", "event_type", "status_message", "error", "trail_id")
_FINISH = f"""
UPDATE deliveries d
SET status = f.status, event_type = coalesce(f.event_type, d.event_type), status_message = f.status_message,
    error = f.error, trail_id = f.trail_id, processed_at = $1
FROM {_OUTCOMES.source("f", 2)}
WHERE d.id = f.id
"""


async def finish(tx: Transaction, claim_id: UUID, done: Sequence[Done]) -> None:
    """Remove deliveries from the queue and record their outcomes, in the transaction of their effects.

    Raises LostLease when the lease of any of them is lost: the transaction must be rolled back.
    """
    released = await tx.execute(_RELEASE, claim_id, [outcome.id for outcome in done])
    if released != len(done):
        raise LostLease
    rows = [
        {
            "id": outcome.id,
            "status": "FAILED" if outcome.failed else "SUCCESS",
            "event_type": outcome.event_type,
            "status_message": outcome.message,
            "error": outcome.error,
            "trail_id": outcome.trail_id,
        }
        for outcome in sorted(done, key=lambda outcome: outcome.id)
    ]
    await tx.execute(_FINISH, tx.now, *_OUTCOMES.arrays(rows))


_RETRY = """
UPDATE inbox SET claim_id = NULL, due_at = r.due_at
FROM unnest($2::uuid[], $3::timestamptz[]) AS r(id, due_at)
WHERE inbox.delivery_id = r.id AND inbox.claim_id = $1
"""


async def retry_later(tx: Transaction, claim_id: UUID, due: Mapping[UUID, datetime]) -> None:
    """Release the leases of deliveries and make each due again at the given time."""
    await tx.execute(_RETRY, claim_id, list(due), list(due.values()))


_GIVE_BACK = "UPDATE inbox SET claim_id = NULL, due_at = $2 WHERE claim_id = $1"


async def give_back(tx: Transaction, claim_id: UUID) -> None:
    """Release all leases that are left of a claim; the deliveries are due at once."""
    await tx.execute(_GIVE_BACK, claim_id, tx.now)


_REPLAY = """
WITH revived AS (
  UPDATE deliveries SET status = 'PENDING', status_message = NULL, error = NULL
  WHERE status = 'FAILED' AND ($1::uuid IS NULL OR org_id = $1) AND ($2::uuid[] IS NULL OR id = ANY($2))
  RETURNING id, org_id
)
INSERT INTO inbox (delivery_id, org_id, due_at, attempts) SELECT id, org_id, $3, 0 FROM revived
ON CONFLICT (delivery_id) DO NOTHING
"""


async def replay(tx: Transaction, tenant: Tenant | None, delivery_ids: Sequence[UUID] | None) -> int:
    """Queue dead letters again and return how many; None means every organisation, or every dead letter."""
    tx.wake(Job.DRAIN)
    return await tx.execute(_REPLAY, tenant.org_id if tenant else None, delivery_ids, tx.now)
