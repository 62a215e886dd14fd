"""Inbound webhook configurations: which sender may report into which flow."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

SECRET_PURPOSE = "webhook signing secret"  # noqa: S105 - names a use, is no secret
MAX_DEFAULT_CONFIGS = 16
"""Configs per source in the organisation `default`, because `/webhooks/{source}` tries each of them."""


@dataclass(frozen=True, slots=True)
class NewWebhookConfig:
    """A webhook config to create."""

    source: str
    flow_id: UUID
    secret: str


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """A stored webhook config, without its secret."""

    id: UUID
    org_id: UUID
    source: str
    flow_id: UUID
    principal_id: UUID
    is_active: bool
    version: int
    created_at: datetime
    previous_until: datetime | None
