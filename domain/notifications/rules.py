"""Whom to tell of what, and by which channel (integrations.md 12)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain.notifications.triggers import Notice

CONFIG_PURPOSE = "notification channel config"
SIGNING_PURPOSE = "outgoing webhook signing secret"


class Channel(StrEnum):
    """How a message leaves."""

    WEBHOOK = "WEBHOOK"
    SLACK = "SLACK"
    EMAIL = "EMAIL"
    IN_APP = "IN_APP"


@dataclass(frozen=True, slots=True)
class NotificationRule:
    """A rule without its secrets: `config_shown` has them masked."""

    id: UUID
    org_id: UUID
    name: str
    is_active: bool
    trigger: str
    channel: str
    config_shown: Mapping[str, Any]
    title_template: str | None
    message_template: str | None
    filter_flow_id: UUID | None
    filter_environment_id: UUID | None
    previous_until: datetime | None
    destination_id: UUID
    created_by: UUID
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Listener:
    """As much of an active rule as the choice needs."""

    rule_id: UUID
    trigger: str
    channel: str
    destination_id: UUID
    filter_flow_id: UUID | None
    filter_environment_id: UUID | None

    def wants(self, notice: Notice) -> bool:
        """Whether the rule asks for this. A filter that is not set takes everything."""
        return (
            self.trigger == notice.trigger
            and self.filter_flow_id in (None, notice.flow_id)
            and self.filter_environment_id in (None, notice.environment_id)
        )
