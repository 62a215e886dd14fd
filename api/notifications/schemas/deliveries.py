"""Outgoing messages, their attempts and destinations on the wire."""

import json
from typing import Annotated
from uuid import UUID

from pydantic import Field

from api.http.paging import ListQuery
from api.http.wire import Instant, WireModel
from domain.notifications.deliveries import OPEN_AFTER, MessageStatus
from storage.outbox.queries import AttemptRow, Destination, Message, Wanted


class MessagesQuery(ListQuery):
    """Of one destination, one rule, one status."""

    status: MessageStatus | None = None
    destination_id: UUID | None = None
    rule_id: UUID | None = None

    def wanted(self) -> Wanted:
        """What the query takes."""
        return Wanted(self.status.value if self.status else None, self.destination_id, self.rule_id)


class MessageOut(WireModel):
    """A message on its way out, or settled. `payload` is JSON text; `nextAttemptAt` is null once it is settled."""

    id: UUID
    rule_id: UUID | None
    destination_id: UUID
    channel: str
    event_type: str
    payload: str
    status: MessageStatus
    error: str | None
    attempt_count: int
    created_at: Instant
    sent_at: Annotated[Instant | None, Field(description="When it was settled: sent, given up or skipped")]
    next_attempt_at: Instant | None

    @classmethod
    def of(cls, message: Message) -> "MessageOut":
        """As stored."""
        return cls(
            id=message.id,
            rule_id=message.rule_id,
            destination_id=message.destination_id,
            channel=message.channel,
            event_type=message.event,
            payload=json.dumps(message.payload, ensure_ascii=False),
            status=MessageStatus(message.status),
            error=message.error,
            attempt_count=message.attempts,
            created_at=message.created_at,
            sent_at=message.settled_at,
            next_attempt_at=message.due_at,
        )


class AttemptOut(WireModel):
    """One try. `outcome` is SENT, or TRANSIENT, THROTTLED, PERMANENT or POISON: what kind of failure it was."""

    outcome: str
    status_code: int | None
    error: str | None
    response: str | None
    duration_ms: int
    started_at: Instant

    @classmethod
    def of(cls, row: AttemptRow) -> "AttemptOut":
        """As stored."""
        return cls(
            outcome=row.outcome,
            status_code=row.status_code,
            error=row.error,
            response=row.response,
            duration_ms=row.duration_ms,
            started_at=row.started_at,
        )


class MessageDetailOut(MessageOut):
    """A message with its attempts, newest first."""

    attempts: list[AttemptOut]


class DestinationOut(WireModel):
    """Where messages go. `status` is OK, FAILING (one message at a time tries), PAUSED or DISABLED."""

    id: UUID
    channel: str
    label: str
    status: Annotated[str, Field(examples=["OK"])]
    consecutive_failures: int
    failing_since: Instant | None
    paused_until: Instant | None
    disabled_at: Instant | None
    disabled_reason: str | None
    created_at: Instant

    @classmethod
    def of(cls, destination: Destination) -> "DestinationOut":
        """As stored."""
        return cls(
            id=destination.id,
            channel=destination.channel,
            label=destination.label,
            status=_status(destination),
            consecutive_failures=destination.failures,
            failing_since=destination.failing_since,
            paused_until=destination.paused_until,
            disabled_at=destination.disabled_at,
            disabled_reason=destination.disabled_reason,
            created_at=destination.created_at,
        )


def _status(destination: Destination) -> str:
    if destination.disabled_at:
        return "DISABLED"
    if destination.failures >= OPEN_AFTER:
        return "FAILING"
    return "PAUSED" if destination.paused_until else "OK"


class ReplayedOut(WireModel):
    """How many dead letters were queued again."""

    replayed: int
