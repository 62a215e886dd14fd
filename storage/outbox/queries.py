"""Reading the outbox: messages with their attempts, dead letters, destinations."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from domain.errors import NotFound
from storage.database import Reader
from storage.paging import Listing, Page, Window, capped_count, equalities, fetch_page, with_total
from storage.tenant import Tenant

MOST_ATTEMPTS = 100
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


_STORED = (name for name in Message.__dataclass_fields__ if name != "due_at")
_MESSAGES = (
    f"SELECT {', '.join(f'm.{name}' for name in _STORED)}, o.due_at "  # noqa: S608 - names of our own
    "FROM messages m LEFT JOIN outbox o ON o.message_id = m.id"
)
_LISTING = Listing(_MESSAGES, "m.created_at", "m.id", lambda row: Message(**row))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages; None asks for nothing."""

    status: str | None = None
    destination_id: UUID | None = None
    rule_id: UUID | None = None


async def list_messages(reader: Reader, tenant: Tenant, wanted: Wanted, window: Window) -> Page[Message]:
    """The organisation's messages, in the window's direction by the time they were raised."""
    conditions, args = equalities(
        {
            "m.org_id": tenant.org_id,
            "m.destination_id": wanted.destination_id,
            "m.rule_id": wanted.rule_id,
            "m.status": wanted.status,
        }
    )
    page = await fetch_page(reader, _LISTING, conditions, args, window)
    count, capped = await capped_count(reader, "messages m", conditions, args)
    return with_total(page, count, capped=capped)


async def get_message(reader: Reader, tenant: Tenant, message_id: UUID) -> Message:
    """One message. Raises NotFound, also for another organisation's."""
    row = await reader.row(f"{_MESSAGES} WHERE m.org_id = $1 AND m.id = $2", tenant.org_id, message_id)
    if row is None:
        raise no_such_message(message_id)
    return Message(**row)


def no_such_message(message_id: UUID) -> NotFound:
    """For a message that is not there, or not any more."""
    return NotFound(f"There is no delivery {message_id}.")


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
SELECT {", ".join(AttemptRow.__dataclass_fields__)} FROM attempts
WHERE org_id = $1 AND message_id = $2 ORDER BY id DESC LIMIT {MOST_ATTEMPTS}
"""  # noqa: S608 - names of our own


async def attempts_of(reader: Reader, tenant: Tenant, message_id: UUID) -> list[AttemptRow]:
    """The attempts of a message, newest first."""
    return [AttemptRow(**row) for row in await reader.rows(_ATTEMPTS, tenant.org_id, message_id)]


async def dead_letters(reader: Reader, limit: int) -> list[Message]:
    """Messages of all organisations that were given up, oldest first."""
    rows = await reader.rows(
        f"{_MESSAGES} WHERE m.status = 'FAILED' ORDER BY m.org_id, m.created_at, m.id LIMIT $1", limit
    )
    return [Message(**row) for row in rows]


async def queued(reader: Reader, limit: int) -> list[Message]:
    """Messages of all organisations that wait or are under way, soonest first."""
    rows = await reader.rows(
        f"{_MESSAGES} WHERE m.id IN (SELECT message_id FROM outbox ORDER BY due_at LIMIT $1) ORDER BY o.due_at, m.id",  # noqa: S608
        limit,
    )
    return [Message(**row) for row in rows]


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


DESTINATION_COLUMNS = ", ".join(Destination.__dataclass_fields__)
_DESTINATIONS = f"SELECT {DESTINATION_COLUMNS} FROM destinations"  # noqa: S608 - names of our own
_DESTINATION_LISTING = Listing(_DESTINATIONS, "created_at", "id", lambda row: Destination(**row))


async def list_destinations(reader: Reader, tenant: Tenant, window: Window) -> Page[Destination]:
    """The organisation's destinations, oldest first."""
    conditions, args = ["org_id = $1"], [tenant.org_id]
    page = await fetch_page(reader, _DESTINATION_LISTING, conditions, args, window)
    count, capped = await capped_count(reader, "destinations", conditions, args)
    return with_total(page, count, capped=capped)


async def get_destination(reader: Reader, tenant: Tenant, destination_id: UUID) -> Destination:
    """One destination. Raises NotFound, also for another organisation's."""
    row = await reader.row(f"{_DESTINATIONS} WHERE org_id = $1 AND id = $2", tenant.org_id, destination_id)
    if row is None:
        raise no_such_destination(destination_id)
    return Destination(**row)


def no_such_destination(destination_id: UUID) -> NotFound:
    """For a destination that is not there."""
    return NotFound(f"There is no destination {destination_id}.")


async def all_destinations(reader: Reader, limit: int) -> list[Destination]:
    """Destinations of all organisations, those that fail first."""
    rows = await reader.rows(f"{_DESTINATIONS} ORDER BY disabled_at, failures DESC, id LIMIT $1", limit)
    return [Destination(**row) for row in rows]
