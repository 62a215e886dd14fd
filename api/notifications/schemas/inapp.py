"""In-app notifications on the wire (integrations.md 11)."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from api.http.calls import Header
from api.http.paging import ListQuery
from api.http.wire import Instant, WireModel
from domain.notifications.triggers import Severity

MAX_NUMBER = 2**63 - 1

LastEventId = Annotated[
    int | None,
    Field(ge=0, le=MAX_NUMBER, description="Begin behind this event; absent: with the next one that comes"),
    Header("Last-Event-ID", query="lastEventId"),
]


class NotificationsQuery(ListQuery):
    """Which notifications: all, or those that fit all that is given."""

    is_read: Annotated[bool | None, Field(description="Whether the caller has read them")] = None
    severity: Severity | None = None

    def to_filters(self) -> Mapping[str, Any]:
        """What the query is narrowed to."""
        return {"is_read": self.is_read, "severity": self.severity}


class NotificationOut(WireModel):
    """A notification. `isRead` is the caller's own; the entity is what it tells of."""

    id: UUID
    title: str
    message: str
    severity: Severity
    is_read: bool
    entity_type: str | None
    entity_id: UUID | None
    created_at: Instant


class UnreadCountOut(WireModel):
    """How many notifications the caller has not read."""

    count: int
