"""In-app notifications, which people read inside the product."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.notifications.triggers import Severity

MAX_TITLE = 255
MAX_ENTITY_TYPE = 100
"""Characters; longer texts are cut, so that no notification is lost because of its length."""


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification of an organisation as one person sees it. `n` is its position in the organisation's stream."""

    id: UUID
    n: int
    title: str
    message: str
    severity: Severity
    entity_type: str | None
    entity_id: UUID | None
    created_at: datetime
    is_read: bool
