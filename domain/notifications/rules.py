"""Whom to tell of what, and by which channel (integrations.md 12)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypedDict
from uuid import UUID

from domain.notifications.triggers import Notice, Severity, Trigger

CONFIG_PURPOSE = "notification channel config"
SIGNING_PURPOSE = "outgoing webhook signing secret"


GRACE = timedelta(hours=24)
"""How long a signing secret is still used beside the one that replaced it."""


class Channel(StrEnum):
    """How a message leaves."""

    WEBHOOK = "WEBHOOK"
    SLACK = "SLACK"
    EMAIL = "EMAIL"
    IN_APP = "IN_APP"


@dataclass(frozen=True, slots=True)
class NewRule:
    """A rule as it is asked for. `config` is the channel's, its secrets in clear."""

    name: str
    trigger: Trigger
    channel: Channel
    config: Mapping[str, Any] = field(default_factory=dict)
    title_template: str | None = None
    message_template: str | None = None
    filter_flow_id: UUID | None = None
    filter_environment_id: UUID | None = None


class RuleChange(TypedDict, total=False):
    """What to change of a rule: a key that is not there leaves the field as it is."""

    name: str
    is_active: bool
    trigger: Trigger
    channel: Channel
    config: Mapping[str, Any]
    title_template: str | None
    message_template: str | None
    filter_flow_id: UUID | None
    filter_environment_id: UUID | None


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


def trial_notice(rule: NotificationRule) -> Notice:
    """What a rule sends to show that its channel works."""
    return Notice(
        Trigger(rule.trigger),
        Severity.INFO,
        title="Test notification",
        message=f"This is a test of the notification rule {rule.name}.",
        entity_type="NOTIFICATION_RULE",
        entity_id=rule.id,
        subject=f"rule:{rule.id}",
        flow_id=rule.filter_flow_id,
        environment_id=rule.filter_environment_id,
        data={"test": True, "ruleId": str(rule.id)},
    )
