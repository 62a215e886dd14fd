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
"""Shown of one message, newest first: replays may have added to the schedule's eight."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as people see it. `due_at` is when it is tried next, None once it is settled."""

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
    """Written out, so that an index of the few messages in a status serves; those that wait are in the outbox."""
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
    """The organisation's messages, in the window's direction by the time they were raised."""
    filters = {"m.destination_id = {}": destination_id, "m.rule_id = {}": rule_id, _in_status(status): status}
    return await _MESSAGES.page(reader, tenant, window, filters=filters)


async def get_message(reader: Reader, tenant: Tenant, message_id: UUID) -> Message:
    """One message. Raises NotFound, also for another organisation's."""
    return await _MESSAGES.get(reader, tenant, message_id)


no_such_message = _MESSAGES.missing
"""The error for a message that is not there, or not any more."""


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One try to send. `outcome` is SENT or the class of the failure; `response` what the other side said, capped."""

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
    """The attempts of a message, newest first."""
    return [_attempt(row) for row in await reader.rows(_ATTEMPTS, tenant.org_id, message_id)]


async def dead_letters(reader: Reader, limit: int) -> list[Message]:
    """Messages of all organisations that were given up, oldest first."""
    rows = await reader.rows(
        f"{_MESSAGES.select} WHERE m.status = 'FAILED' ORDER BY m.org_id, m.created_at, m.id LIMIT $1", limit
    )
    return [_MESSAGES.make(row) for row in rows]


async def queued(reader: Reader, limit: int) -> list[Message]:
    """Messages of all organisations that wait or are under way, soonest first."""
    rows = await reader.rows(
        f"{_MESSAGES.select} WHERE m.id IN (SELECT message_id FROM outbox ORDER BY due_at LIMIT $1) "
        "ORDER BY o.due_at, m.id",
        limit,
    )
    return [_MESSAGES.make(row) for row in rows]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where messages go, and how it fares. `label` shows no secret part of the address."""

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
    """The organisation's destinations, oldest first."""
    return await _DESTINATIONS.page(reader, tenant, window)


async def get_destination(reader: Reader, tenant: Tenant, destination_id: UUID) -> Destination:
    """One destination. Raises NotFound, also for another organisation's."""
    return await _DESTINATIONS.get(reader, tenant, destination_id)


no_such_destination = _DESTINATIONS.missing
"""The error for a destination that is not there."""


async def all_destinations(reader: Reader, limit: int) -> list[Destination]:
    """Destinations of all organisations, those that fail first."""
    rows = await reader.rows(f"{_DESTINATIONS.select} ORDER BY disabled_at, failures DESC, id LIMIT $1", limit)
    return [_DESTINATIONS.make(row) for row in rows]
