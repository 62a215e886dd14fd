"""Request and response models of outgoing messages, their attempts and destinations."""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field

from api.http.calls import Call
from api.http.paging import ListQuery
from api.http.wire import Instant, WireModel, shows
from domain.notifications.deliveries import OPEN_AFTER, MessageStatus
from storage.outbox.queries import AttemptRow, Destination, Message


class MessagesQuery(ListQuery):
    """Filters of outgoing messages. A message must match all of them."""

    status: MessageStatus | None = None
    destination_id: UUID | None = None
    rule_id: UUID | None = None

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filters, as keyword arguments of the query."""
        return {"status": self.status, "destination_id": self.destination_id, "rule_id": self.rule_id}


class MessageOut(WireModel):
    """An outgoing message. `payload` is JSON text. `nextAttemptAt` is null once it was sent, failed or was skipped."""

    id: UUID
    rule_id: UUID | None
    destination_id: UUID
    channel: str
    event_type: str = shows("event")
    payload: str
    status: MessageStatus
    error: str | None
    attempt_count: int = shows("attempts")
    created_at: Instant
    sent_at: Annotated[
        Instant | None,
        Field(validation_alias="settled_at", description="When it was sent, failed permanently or was skipped"),
    ]
    next_attempt_at: Instant | None = shows("due_at")

    @classmethod
    def of(cls, message: Message, _call: Call) -> Self:
        """Return the message with its payload as text."""
        return cls.filled(message, payload=_text(message))


class AttemptOut(WireModel):
    """One attempt. `outcome` is SENT, or the kind of failure: TRANSIENT, THROTTLED, PERMANENT or POISON."""

    outcome: str
    status_code: int | None
    error: str | None
    response: str | None
    duration_ms: int
    started_at: Instant


class MessageDetailOut(MessageOut):
    """A message with its attempts, newest first."""

    attempts: list[AttemptOut]

    @classmethod
    def detailed(cls, message: Message, attempts: Iterable[AttemptRow], call: Call) -> Self:
        """Return the message with its payload as text, and its attempts."""
        return cls.filled(message, payload=_text(message), attempts=[AttemptOut.of(row, call) for row in attempts])


def _text(message: Message) -> str:
    return json.dumps(message.payload, ensure_ascii=False)


class DestinationOut(WireModel):
    """A destination of messages. `status` is OK, FAILING (one message at a time is tried), PAUSED or DISABLED."""

    id: UUID
    channel: str
    label: str
    status: Annotated[str, Field(examples=["OK"])]
    consecutive_failures: int = shows("failures")
    failing_since: Instant | None
    paused_until: Instant | None
    disabled_at: Instant | None
    disabled_reason: str | None
    created_at: Instant

    @classmethod
    def of(cls, destination: Destination, _call: Call) -> Self:
        """Return the destination with its status."""
        return cls.filled(destination, status=_status(destination))


def _status(destination: Destination) -> str:
    if destination.disabled_at:
        return "DISABLED"
    if destination.failures >= OPEN_AFTER:
        return "FAILING"
    return "PAUSED" if destination.paused_until else "OK"


class ReplayedOut(WireModel):
    """The number of dead letters that were queued again."""

    replayed: int
