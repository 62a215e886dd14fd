"""Settling messages: record attempts, outcomes and the health of destinations, for many messages in one transaction."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from domain.notifications.deliveries import AttemptResult, Health, HealthEvent, MessageStatus, after
from domain.retries import ErrorClass
from storage.batches import Rows
from storage.database import Transaction
from storage.outbox.claims import head_of
from storage.outbox.tables import attempts, destinations
from storage.rows import from_row, to_row

SENT = "SENT"
"""The outcome of a successful attempt; a failed one has its error class."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to send, as stored."""

    started_at: datetime
    duration_ms: int
    failure: ErrorClass | None = None
    status_code: int | None = None
    error: str | None = None
    response: str | None = None


@dataclass(frozen=True, slots=True)
class MessageOutcome:
    """The outcome of a claimed message: settled with a status, or due again at `due_at`.

    Without attempts the outcome does not affect the health of the destination. `gone`: the destination wants no more
    messages (HTTP 410).
    """

    message_id: UUID
    org_id: UUID
    destination_id: UUID
    subject: str
    claim_id: UUID
    status: MessageStatus
    attempts: Sequence[Attempt] = ()
    due_at: datetime | None = None
    error: str | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class HealthChange:
    """A change in the health of a destination, of which its organisation is notified."""

    org_id: UUID
    destination_id: UUID
    channel: str
    label: str
    event: HealthEvent
    reason: str


_TRIED = Rows(
    {"id": "uuid", "claim_id": "uuid", "status": "text", "error": "text", "due_at": "timestamptz", "tries": "int"}
)
_ATTEMPTS = Rows.of(
    attempts,
    "id",
    "org_id",
    "message_id",
    "outcome",
    "status_code",
    "error",
    "response",
    "duration_ms",
    "started_at",
)
_SETTLE = f"""
WITH tried AS (
  SELECT * FROM {_TRIED.source("t", 3)}
), settled AS (
  DELETE FROM outbox o USING tried t WHERE o.message_id = t.id AND o.claim_id = t.claim_id AND t.due_at IS NULL
  RETURNING o.message_id
), put_off AS (
  UPDATE outbox o SET claim_id = NULL, due_at = t.due_at
  FROM tried t WHERE o.message_id = t.id AND o.claim_id = t.claim_id AND t.due_at IS NOT NULL
  RETURNING o.message_id
), ours AS (
  SELECT message_id FROM settled UNION ALL SELECT message_id FROM put_off
), kept AS (
  UPDATE messages m
  SET status = t.status, error = t.error, attempts = m.attempts + t.tries,
      settled_at = CASE WHEN t.due_at IS NULL THEN $1::timestamptz END
  FROM tried t JOIN ours ON ours.message_id = t.id WHERE m.id = t.id
), logged AS (
  INSERT INTO attempts ({", ".join(_ATTEMPTS.types)}) SELECT * FROM {_ATTEMPTS.source("a", 3 + len(_TRIED.types))}
)
SELECT id FROM destinations
WHERE id = ANY($2::uuid[]) AND (failures > 0 OR told IS NOT NULL OR paused_until IS NOT NULL)
"""
"""Settles or reschedules only rows whose lease this claim still holds; the others are left alone.

Returns those of the destinations that are not healthy: for a healthy one, a success changes nothing.
"""

_CALL_BACK = f"""
WITH next AS (
  SELECT head.message_id FROM unnest($1::uuid[], $2::text[]) AS s(destination_id, subject)
  CROSS JOIN LATERAL ({head_of("s")}) head
)
UPDATE outbox o SET due_at = $3 FROM next
WHERE o.message_id = next.message_id AND o.claim_id IS NULL AND o.due_at > $3
"""
"""Makes the next message of each subject due.

A statement of its own, because only a snapshot taken after the deletion has every message that a claim postponed.
"""

_DESTINATIONS = """
SELECT id, org_id, channel, label, failures, failing_since, told, paused_at, paused_until, disabled_at,
       disabled_reason
FROM destinations WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE
"""

_CONDITION = tuple(field.name for field in fields(Health))
_HEALTHS = Rows.of(destinations, "id", *_CONDITION)
_HEALTH = f"""
UPDATE destinations d SET {", ".join(f"{name} = h.{name}" for name in _CONDITION)}
FROM {_HEALTHS.source("h", 1)} WHERE d.id = h.id
"""

_health = from_row(Health)

_REARM = "UPDATE outbox SET due_at = $2 WHERE destination_id = ANY($1::uuid[]) AND claim_id IS NULL AND due_at > $2"
_FREE = f"{_REARM} AND attempts = 0"

_GIVE_UP = """
WITH given_up AS (
  DELETE FROM outbox WHERE destination_id = ANY($1::uuid[]) RETURNING message_id
)
UPDATE messages m SET status = 'FAILED', error = 'The destination was disabled.', settled_at = $2
FROM given_up WHERE m.id = given_up.message_id
"""


async def settle(tx: Transaction, outcomes: Sequence[MessageOutcome], random: float) -> list[HealthChange]:
    """Record the outcomes of messages and the health of their destinations; return the changes in health.

    When a destination is disabled, its waiting messages become dead letters; when one recovers, its waiting messages
    are due at once. A lost lease is not an error: the attempt is recorded, the message is left to its new holder.
    """
    rows = [
        {
            "id": outcome.message_id,
            "claim_id": outcome.claim_id,
            "status": outcome.status.value,
            "error": outcome.error,
            "due_at": outcome.due_at,
            "tries": len(outcome.attempts),
        }
        for outcome in sorted(outcomes, key=lambda outcome: outcome.message_id)
    ]
    tried = _tried(outcomes)
    made = _ATTEMPTS.arrays(_attempt_rows(tx, outcomes))
    unhealthy = await tx.rows(_SETTLE, tx.now, list(tried), *_TRIED.arrays(rows), *made)
    failed = {one for one, of in tried.items() if any(attempt.failure for attempt in of)}
    affected = failed | {row["id"] for row in unhealthy}
    changes = await _keep_health(tx, {one: tried[one] for one in affected}, random) if affected else []
    await _call_back(tx, {(one.destination_id, one.subject) for one in outcomes if one.due_at is None})
    return changes


async def _call_back(tx: Transaction, subjects: Collection[tuple[UUID, str]]) -> None:
    """Make the next message of each subject due, if it only waited for the ones before."""
    if subjects:
        destination_ids, names = zip(*sorted(subjects), strict=True)
        await tx.execute(_CALL_BACK, destination_ids, names, tx.now)


async def free_waiting(tx: Transaction, destination_id: UUID) -> None:
    """Make messages that were never tried due, after messages before them left the queue without being settled."""
    await tx.execute(_FREE, [destination_id], tx.now)


def _attempt_rows(tx: Transaction, outcomes: Sequence[MessageOutcome]) -> list[dict[str, Any]]:
    return [
        {
            "id": tx.new_id(),
            "org_id": outcome.org_id,
            "message_id": outcome.message_id,
            "outcome": attempt.failure.value.upper() if attempt.failure else SENT,
            "status_code": attempt.status_code,
            "error": attempt.error,
            "response": attempt.response,
            "duration_ms": attempt.duration_ms,
            "started_at": attempt.started_at,
        }
        for outcome in outcomes
        for attempt in outcome.attempts
    ]


async def _keep_health(
    tx: Transaction, tried: Mapping[UUID, Sequence[AttemptResult]], random: float
) -> list[HealthChange]:
    changed: dict[UUID, Health] = {}
    changes: list[HealthChange] = []
    for row in await tx.rows(_DESTINATIONS, sorted(tried)):
        before = _health(row)
        health, events = after(before, tried[row["id"]], random)
        if health != before:
            changed[row["id"]] = health
        reason = next((one.reason for one in reversed(tried[row["id"]]) if one.failure), "")
        changes += [HealthChange(row["org_id"], row["id"], row["channel"], row["label"], one, reason) for one in events]
    if changed:
        rows = [{"id": one, **to_row(health)} for one, health in changed.items()]
        await tx.execute(_HEALTH, *_HEALTHS.arrays(rows))
    await _apply_to_waiting(tx, changes)
    return changes


def _tried(outcomes: Sequence[MessageOutcome]) -> Mapping[UUID, list[AttemptResult]]:
    """Return the results of all attempts by destination, oldest first."""
    tried: dict[UUID, list[AttemptResult]] = defaultdict(list)
    for outcome in outcomes:
        for number, attempt in enumerate(outcome.attempts, 1):
            last = number == len(outcome.attempts)
            tried[outcome.destination_id].append(
                AttemptResult(
                    at=attempt.started_at,
                    ended=attempt.started_at + timedelta(milliseconds=attempt.duration_ms),
                    failure=attempt.failure,
                    delay=outcome.due_at - attempt.started_at if outcome.due_at and last else None,
                    dead=last and outcome.status is MessageStatus.FAILED,
                    gone=last and outcome.gone,
                    reason=attempt.error or "",
                )
            )
    return {destination: sorted(of, key=lambda one: one.at) for destination, of in tried.items()}


async def _apply_to_waiting(tx: Transaction, changes: Sequence[HealthChange]) -> None:
    """Reschedule the waiting messages of recovered destinations, and give up those of disabled ones."""
    recovered = [change.destination_id for change in changes if change.event is HealthEvent.RECOVERED]
    disabled = [change.destination_id for change in changes if change.event is HealthEvent.DISABLED]
    if recovered:
        await tx.execute(_REARM, recovered, tx.now)
    if disabled:
        await tx.execute(_GIVE_UP, disabled, tx.now)
