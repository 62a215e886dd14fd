"""What people read inside the product (integrations.md 11)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from domain.notifications.triggers import Severity

MAX_TITLE = 255
MAX_ENTITY_TYPE = 100
"""Characters; longer ones are cut, because a message that was due must not be lost for its length."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One of an organisation's notifications as one person sees it. `n` is its place in the organisation's stream."""

    id: UUID
    n: int
    title: str
    message: str
    severity: Severity
    entity_type: str | None
    entity_id: UUID | None
    created_at: datetime
    is_read: bool
