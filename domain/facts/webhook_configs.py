"""Inbound webhook configurations: which sender may report into which flow (integrations.md 13)."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

SECRET_PURPOSE = "webhook signing secret"  # noqa: S105 - names a use, is no secret
MAX_DEFAULT_CONFIGS = 16
"""Per source in the organisation `default`: `/webhooks/{source}` tries them all (ARCHITECTURE.md 3)."""


@dataclass(frozen=True, slots=True)
class NewWebhookConfig:
    """A sender to be let in."""

    source: str
    flow_id: UUID
    secret: str


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """A sender's configuration, without its secret."""

    id: UUID
    org_id: UUID
    source: str
    flow_id: UUID
    principal_id: UUID
    is_active: bool
    version: int
    created_at: datetime
    previous_until: datetime | None
