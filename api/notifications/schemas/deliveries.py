"""Outgoing messages, their attempts and destinations on the wire."""

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
    """Of one destination, one rule, one status."""

    status: MessageStatus | None = None
    destination_id: UUID | None = None
    rule_id: UUID | None = None

    def to_filters(self) -> Mapping[str, Any]:
        """What the query is narrowed to."""
        return {"status": self.status, "destination_id": self.destination_id, "rule_id": self.rule_id}


class MessageOut(WireModel):
    """A message on its way out, or settled. `payload` is JSON text; `nextAttemptAt` is null once it is settled."""

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
        Field(validation_alias="settled_at", description="When it was settled: sent, given up or skipped"),
    ]
    next_attempt_at: Instant | None = shows("due_at")

    @classmethod
    def of(cls, message: Message, _call: Call) -> Self:
        """With its payload as text."""
        return cls.filled(message, payload=_text(message))


class AttemptOut(WireModel):
    """One try. `outcome` is SENT, or TRANSIENT, THROTTLED, PERMANENT or POISON: what kind of failure it was."""

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
        """With its payload as text."""
        return cls.filled(message, payload=_text(message), attempts=[AttemptOut.of(row, call) for row in attempts])


def _text(message: Message) -> str:
    return json.dumps(message.payload, ensure_ascii=False)


class DestinationOut(WireModel):
    """Where messages go. `status` is OK, FAILING (one message at a time tries), PAUSED or DISABLED."""

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
        """With how it fares in a word."""
        return cls.filled(destination, status=_status(destination))


def _status(destination: Destination) -> str:
    if destination.disabled_at:
        return "DISABLED"
    if destination.failures >= OPEN_AFTER:
        return "FAILING"
    return "PAUSED" if destination.paused_until else "OK"


class ReplayedOut(WireModel):
    """How many dead letters were queued again."""

    replayed: int
