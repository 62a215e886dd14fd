"""Claiming messages with a lease: in fair shares for organisations and destinations, and in order per subject."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from domain.notifications.deliveries import OPEN_AFTER
from domain.tenant import Tenant
from storage.database import Reader, Row, Transaction
from storage.fairness import soonest_of_each
from storage.rows import from_row


def head_of(alias: str) -> str:
    """Return SQL for the first unsettled message of the subject in the columns `destination_id` and `subject`."""
    return f"""
  SELECT message_id, due_at FROM outbox WHERE destination_id = {alias}.destination_id AND subject = {alias}.subject
  ORDER BY message_id LIMIT 1
"""


MAX_DESTINATIONS = 500
"""Destinations served in one round; further ones get the next round."""
MAX_RUN = 16
"""Messages of one subject in a claim: they are sent one after the other, and others must not wait for all of them."""
MAX_POSTPONED = 4096
"""Messages that one claim postpones."""

WAITING = f"WITH RECURSIVE waiting AS ({soonest_of_each('outbox', 'org_id, destination_id', 'due_at')})"
"""Every destination with messages and the earliest due time there: one index probe each, however many wait."""

_DUE = f"""
{WAITING}
SELECT w.org_id, w.destination_id, d.failures >= {OPEN_AFTER} AS open
FROM waiting w JOIN destinations d ON d.id = w.destination_id
WHERE (w.due_at <= $1 OR d.failures >= {OPEN_AFTER}) AND d.disabled_at IS NULL
  AND (d.paused_until IS NULL OR d.paused_until <= $1) AND w.destination_id <> ALL($2::uuid[])
LIMIT {MAX_DESTINATIONS}
"""
"""A destination with an open circuit is probed before its messages are due."""

_CLAIMED = """
SELECT c.message_id AS id, c.org_id, g.slug AS org_slug, c.destination_id, c.subject, c.attempts, c.scheduled_at,
       m.rule_id, m.channel, m.event, m.payload, m.created_at
FROM claimed c JOIN organisations g ON g.id = c.org_id
CROSS JOIN LATERAL (
  SELECT rule_id, channel, event, payload, created_at FROM messages WHERE id = c.message_id OFFSET 0
) m
ORDER BY c.message_id
"""

_CLAIM = f"""
WITH due AS (
  SELECT DISTINCT d.id AS destination_id, d.share, o.subject
  FROM unnest($1::uuid[], $2::uuid[], $3::int[]) AS d(org_id, id, share)
  CROSS JOIN LATERAL (
    SELECT subject FROM outbox WHERE org_id = d.org_id AND destination_id = d.id AND due_at <= $4
    ORDER BY due_at, message_id LIMIT d.share
  ) o
), run AS (
  SELECT due.destination_id, due.subject, due.share, following.message_id, head.message_id AS head_id,
         row_number() OVER (
           PARTITION BY due.destination_id ORDER BY head.due_at, head.message_id, following.message_id
         ) AS place
  FROM due
  CROSS JOIN LATERAL ({head_of("due")}) head
  CROSS JOIN LATERAL (
    SELECT message_id FROM outbox WHERE destination_id = due.destination_id AND subject = due.subject
    ORDER BY message_id LIMIT {MAX_RUN}
  ) following
  WHERE head.due_at <= $4
), held AS (
  SELECT run.destination_id, run.subject, run.message_id, free.message_id IS NOT NULL AS free
  FROM run LEFT JOIN LATERAL (
    SELECT message_id FROM outbox
    WHERE message_id = run.message_id AND (due_at <= $4 OR (claim_id IS NULL AND message_id <> run.head_id))
    FOR UPDATE SKIP LOCKED
  ) free ON true
  WHERE run.place <= run.share
), whole AS (
  SELECT message_id, bool_and(free) OVER (PARTITION BY destination_id, subject ORDER BY message_id) AS unbroken
  FROM held
), claimed AS (
  UPDATE outbox o SET claim_id = $5, due_at = $6, attempts = o.attempts + 1
  FROM whole WHERE o.message_id = whole.message_id AND whole.unbroken
  RETURNING o.message_id, o.org_id, o.destination_id, o.subject, o.attempts, o.claim_id,
            NULL::timestamptz AS scheduled_at
) {_CLAIMED}
"""
"""Claims the first messages of each due subject, up to one that another transaction holds.

The lock on the first message decides who may claim of its subject. The others need not be due: they only waited for it.
"""

_POSTPONE = f"""
WITH due AS (
  SELECT o.* FROM unnest($1::uuid[], $2::uuid[]) AS d(org_id, id)
  CROSS JOIN LATERAL (
    SELECT message_id, destination_id, subject FROM outbox
    WHERE org_id = d.org_id AND destination_id = d.id AND due_at <= $4
    ORDER BY due_at, message_id LIMIT $3
  ) o
), head AS (
  SELECT s.destination_id, s.subject, held.message_id, held.due_at
  FROM (SELECT DISTINCT destination_id, subject FROM due) s
  CROSS JOIN LATERAL ({head_of("s")}) first
  CROSS JOIN LATERAL (
    SELECT message_id, due_at FROM outbox WHERE message_id = first.message_id FOR KEY SHARE SKIP LOCKED
  ) held
  WHERE first.due_at > $4
), behind AS (
  SELECT waiting.message_id, head.due_at
  FROM due JOIN head ON head.destination_id = due.destination_id AND head.subject = due.subject
  CROSS JOIN LATERAL (
    SELECT message_id FROM outbox WHERE message_id = due.message_id AND due_at <= $4 FOR UPDATE SKIP LOCKED
  ) waiting
  WHERE head.due_at > $4
)
UPDATE outbox o SET claim_id = NULL, due_at = behind.due_at FROM behind WHERE o.message_id = behind.message_id
"""
"""Postpones due messages that are behind an unsettled one of their subject until that one is due.

Otherwise they would be found due again and again, in front of other subjects. None is forgotten: the lock keeps the
first message from being settled until this has committed, and settling it calls the next one back.
"""


_PROBE = f"""
WITH soonest AS (
  SELECT d.id AS destination_id, o.subject
  FROM unnest($1::uuid[], $2::uuid[]) AS d(org_id, id)
  CROSS JOIN LATERAL (
    SELECT subject FROM outbox WHERE org_id = d.org_id AND destination_id = d.id ORDER BY due_at, message_id LIMIT 1
  ) o
), head AS (
  SELECT h.message_id, h.due_at
  FROM soonest s
  CROSS JOIN LATERAL ({head_of("s")}) earliest
  CROSS JOIN LATERAL (
    SELECT message_id, due_at FROM outbox
    WHERE message_id = earliest.message_id AND (claim_id IS NULL OR due_at <= $3) FOR UPDATE SKIP LOCKED
  ) h
), claimed AS (
  UPDATE outbox o
  SET claim_id = $4, due_at = $5, attempts = o.attempts + CASE WHEN head.due_at <= $3 THEN 1 ELSE 0 END
  FROM head WHERE o.message_id = head.message_id
  RETURNING o.message_id, o.org_id, o.destination_id, o.subject, o.attempts, o.claim_id,
            CASE WHEN head.due_at > $3 THEN head.due_at END AS scheduled_at
), held AS (
  UPDATE destinations SET paused_until = $5 WHERE id IN (SELECT destination_id FROM claimed)
) {_CLAIMED}
"""
"""Claims the first message of the subject that is due soonest, even before it is due."""


@dataclass(frozen=True, slots=True)
class ClaimedMessage:
    """A message leased to this worker. `attempts` counts this claim.

    With `scheduled_at` it is an early probe of an open circuit: if it fails, no attempt is counted and it is due again
    at that time.
    """

    id: UUID
    org_id: UUID
    org_slug: str
    destination_id: UUID
    subject: str
    attempts: int
    scheduled_at: datetime | None
    rule_id: UUID | None
    channel: str
    event: str
    payload: Mapping[str, Any]
    created_at: datetime

    @property
    def tenant(self) -> Tenant:
        """The organisation of the message."""
        return Tenant(self.org_id, self.org_slug)


_claimed = from_row(ClaimedMessage)


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """One claim: its id, the limits, the lease, and the `busy` destinations of which no more may be claimed."""

    id: UUID
    limit: int
    per_destination: int
    lease: timedelta
    busy: Sequence[UUID] = ()


async def anything_due(reader: Reader, now: datetime) -> bool:
    """Whether any message could be claimed now."""
    return bool(await reader.rows(_DUE, now, []))


class Claims(NamedTuple):
    """What one claim leased. `more`: it also postponed messages, and there may be others behind them; claim again."""

    messages: Sequence[ClaimedMessage]
    more: bool


async def claim(tx: Transaction, wanted: ClaimRequest) -> Claims:
    """Lease due messages, oldest first, in equal shares for the organisations, then for the destinations of each.

    Messages of one subject are leased in order and only from its first unsettled one on, at most MAX_RUN of them.
    A destination with an open circuit yields one message, due or not, and then none until that one is settled or its
    lease expires.
    """
    waiting = await tx.rows(_DUE, tx.now, list(wanted.busy))
    healthy, failing = [row for row in waiting if not row["open"]], [row for row in waiting if row["open"]]
    rows: list[Row] = []
    more = False
    if healthy:
        shares = _shares(healthy, wanted)
        rows += await tx.rows(_CLAIM, *_keys(healthy), shares, tx.now, wanted.id, tx.now + wanted.lease)
        more = await _postpone(tx, _short(healthy, shares, rows))
    if failing:
        rows += await tx.rows(_PROBE, *_keys(failing), tx.now, wanted.id, tx.now + wanted.lease)
    return Claims([_claimed(row) for row in rows], more)


def _short(healthy: Sequence[Row], shares: Sequence[int], claimed: Sequence[Row]) -> list[Row]:
    """Return the destinations that yielded less than their share."""
    found = Counter(row["destination_id"] for row in claimed)
    return [row for row, share in zip(healthy, shares, strict=True) if found[row["destination_id"]] < share]


async def _postpone(tx: Transaction, destinations: Sequence[Row]) -> bool:
    """Postpone what is due and cannot be claimed; return whether anything was postponed."""
    if not destinations:
        return False
    each = max(1, MAX_POSTPONED // len(destinations))
    return await tx.execute(_POSTPONE, *_keys(destinations), each, tx.now) > 0


def _keys(rows: Sequence[Row]) -> tuple[list[UUID], list[UUID]]:
    return [row["org_id"] for row in rows], [row["destination_id"] for row in rows]


def _shares(waiting: Sequence[Row], wanted: ClaimRequest) -> list[int]:
    destinations = Counter(row["org_id"] for row in waiting)
    of_each_org = wanted.limit // len(destinations)
    return [max(1, min(of_each_org // destinations[row["org_id"]], wanted.per_destination)) for row in waiting]


_GIVE_BACK = """
UPDATE outbox o SET claim_id = NULL, due_at = b.due_at, attempts = o.attempts - 1
FROM unnest($2::uuid[], $3::timestamptz[]) AS b(id, due_at)
WHERE o.message_id = b.id AND o.claim_id = $1
"""


async def give_back(tx: Transaction, claim_id: UUID, due: Mapping[UUID, datetime]) -> None:
    """Release the lease of messages that were not tried: they are due at the given times, and no attempt is counted."""
    await tx.execute(_GIVE_BACK, claim_id, list(due), list(due.values()))
