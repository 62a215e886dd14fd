"""Reading the outbox: messages with their attempts, dead letters, destinations."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.notifications.deliveries import MessageStatus
from domain.tenant import Tenant
from storage.database import Reader
from storage.paging import Listing, Page, Window
from storage.rows import columns, from_row

MAX_ATTEMPTS = 100
"""Attempts shown of one message, newest first: replays may add to the eight of the retry schedule."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as shown to people. `due_at` is the time of the next attempt, None once the message is settled."""

    id: UUID
    org_id: UUID
    destination_id: UUID
    rule_id: UUID | None
    channel: str
    event: str
    payload: Mapping[str, Any]
    status: str
    error: str | None
    attempts: int
    created_at: datetime
    settled_at: datetime | None
    due_at: datetime | None


_MESSAGES = Listing(
    "delivery",
    columns(Message, prefix="m.", but=["due_at"]) + ", o.due_at",
    "messages m LEFT JOIN outbox o ON o.message_id = m.id",
    from_row(Message),
    alias="m.",
    counted="messages m",
)


def _in_status(status: MessageStatus | None) -> str:
    """Return the condition with the status as a literal, so that a partial index applies; PENDING uses the outbox."""
    waiting = " AND m.id IN (SELECT message_id FROM outbox WHERE org_id = $1)"
    return f"m.status = '{status}'" + (waiting if status == MessageStatus.PENDING else "")


async def list_messages(
    reader: Reader,
    tenant: Tenant,
    window: Window,
    *,
    status: MessageStatus | None = None,
    destination_id: UUID | None = None,
    rule_id: UUID | None = None,
) -> Page[Message]:
    """List the organisation's messages by creation time, in the direction of the window."""
    filters = {"m.destination_id = {}": destination_id, "m.rule_id = {}": rule_id, _in_status(status): status}
    return await _MESSAGES.page(reader, tenant, window, filters=filters)


async def get_message(reader: Reader, tenant: Tenant, message_id: UUID) -> Message:
    """Return one message. Raises NotFound, also for another organisation's."""
    return await _MESSAGES.get(reader, tenant, message_id)


no_such_message = _MESSAGES.missing
"""Makes the error for a message that does not exist."""


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One attempt to send. `outcome` is SENT or the class of the failure; `response` is the truncated response body."""

    id: UUID
    outcome: str
    status_code: int | None
    error: str | None
    response: str | None
    duration_ms: int
    started_at: datetime


_ATTEMPTS = f"""
SELECT {columns(AttemptRow)} FROM attempts
WHERE org_id = $1 AND message_id = $2 ORDER BY id DESC LIMIT {MAX_ATTEMPTS}
"""


_attempt = from_row(AttemptRow)


async def attempts_of(reader: Reader, tenant: Tenant, message_id: UUID) -> list[AttemptRow]:
    """Return the attempts of a message, newest first, at most MAX_ATTEMPTS."""
    return [_attempt(row) for row in await reader.rows(_ATTEMPTS, tenant.org_id, message_id)]


async def dead_letters(reader: Reader, limit: int) -> list[Message]:
    """Return dead letters of all organisations, oldest first within each organisation."""
    rows = await reader.rows(
        f"{_MESSAGES.select} WHERE m.status = 'FAILED' ORDER BY m.org_id, m.created_at, m.id LIMIT $1", limit
    )
    return [_MESSAGES.make(row) for row in rows]


async def queued(reader: Reader, limit: int) -> list[Message]:
    """Return queued messages of all organisations, waiting or leased, soonest due first."""
    rows = await reader.rows(
        f"{_MESSAGES.select} WHERE m.id IN (SELECT message_id FROM outbox ORDER BY due_at LIMIT $1) "
        "ORDER BY o.due_at, m.id",
        limit,
    )
    return [_MESSAGES.make(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Destination:
    """A destination of messages with its health. `label` shows no secret part of the address."""

    id: UUID
    org_id: UUID
    channel: str
    label: str
    failures: int
    failing_since: datetime | None
    paused_until: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None
    created_at: datetime


_DESTINATIONS = Listing.plain(Destination, "destinations", "destination")


async def list_destinations(reader: Reader, tenant: Tenant, window: Window) -> Page[Destination]:
    """List the organisation's destinations, oldest first."""
    return await _DESTINATIONS.page(reader, tenant, window)


async def get_destination(reader: Reader, tenant: Tenant, destination_id: UUID) -> Destination:
    """Return one destination. Raises NotFound, also for another organisation's."""
    return await _DESTINATIONS.get(reader, tenant, destination_id)


no_such_destination = _DESTINATIONS.missing
"""Makes the error for a destination that does not exist."""


async def all_destinations(reader: Reader, limit: int) -> list[Destination]:
    """Return destinations of all organisations: disabled ones first, then those with most failures."""
    rows = await reader.rows(f"{_DESTINATIONS.select} ORDER BY disabled_at, failures DESC, id LIMIT $1", limit)
    return [_DESTINATIONS.make(row) for row in rows]
