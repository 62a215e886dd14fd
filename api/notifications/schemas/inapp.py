"""Request and response models of in-app notifications."""

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
    Field(ge=0, le=MAX_NUMBER, description="Start after this event; default: with the next new event"),
    Header("Last-Event-ID", query="lastEventId"),
]


class NotificationsQuery(ListQuery):
    """Filters of notifications. A notification must match all of them."""

    is_read: Annotated[bool | None, Field(description="Whether the caller has read the notification")] = None
    severity: Severity | None = None

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filters, as keyword arguments of the query."""
        return {"is_read": self.is_read, "severity": self.severity}


class NotificationOut(WireModel):
    """A notification. `isRead` is specific to the caller; `entityType` and `entityId` name its subject."""

    id: UUID
    title: str
    message: str
    severity: Severity
    is_read: bool
    entity_type: str | None
    entity_id: UUID | None
    created_at: Instant


class UnreadCountOut(WireModel):
    """The number of notifications that the caller has not read."""

    count: int
