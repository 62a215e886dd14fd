"""Notification rules: which trigger sends a message through which channel."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, TypedDict
from uuid import UUID

from domain.errors import Invalid
from domain.identity.quotas import Quota
from domain.notifications.triggers import CONCERNING_ENVIRONMENTS, CONCERNING_FLOWS, Notice, Severity, Trigger

CONFIG_PURPOSE = "notification channel config"
SIGNING_PURPOSE = "outgoing webhook signing secret"


GRACE = timedelta(hours=24)
"""How long a replaced signing secret is still used together with the new one."""


class Channel(StrEnum):
    """The channel that a message is sent through."""

    WEBHOOK = "WEBHOOK"
    SLACK = "SLACK"
    EMAIL = "EMAIL"
    IN_APP = "IN_APP"


@dataclass(frozen=True, slots=True)
class NewRule:
    """A rule to create. `config` is the channel configuration, with its secrets in clear."""

    name: str
    trigger: Trigger
    channel: Channel
    config: Mapping[str, Any] = field(default_factory=dict)
    title_template: str | None = None
    message_template: str | None = None
    filter_flow_id: UUID | None = None
    filter_environment_id: UUID | None = None


class RuleChange(TypedDict, total=False):
    """The fields of a rule to change; absent keys leave their fields unchanged."""

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
    """A stored rule. `config_shown` is its channel configuration with the secrets masked."""

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
    """The fields of an active rule that decide whether it wants a notice."""

    rule_id: UUID
    trigger: str
    channel: str
    destination_id: UUID
    filter_flow_id: UUID | None
    filter_environment_id: UUID | None

    def wants(self, notice: Notice) -> bool:
        """Whether the rule matches the notice. A filter that is not set matches everything."""
        return (
            self.trigger == notice.trigger
            and self.filter_flow_id in (None, notice.flow_id)
            and self.filter_environment_id in (None, notice.environment_id)
        )


def digest_notice(listener: Listener, resets_at: datetime) -> Notice:
    """Make the notice that a rule sends once in place of all messages beyond the organisation's quota."""
    until = f"{resets_at:%H:%M} UTC"
    return Notice(
        Trigger(listener.trigger),
        Severity.WARNING,
        title=f"Further notifications before {until} are not sent",
        message=f"The organisation has used up its quota {Quota.MESSAGES_PER_HOUR}. GET /api/v1/limits counts the "
        f"notifications that are not sent.",
        entity_type="NOTIFICATION_RULE",
        entity_id=listener.rule_id,
        subject=f"rule:{listener.rule_id}",
        flow_id=listener.filter_flow_id,
        environment_id=listener.filter_environment_id,
        data={"limit": Quota.MESSAGES_PER_HOUR.value, "resetsAt": resets_at.isoformat()},
    )


def check_filters(trigger: Trigger, flow_id: UUID | None, environment_id: UUID | None) -> None:
    """Raise Invalid for a filter that no notice of the trigger can match."""
    for field_name, kind, wanted, concerning in (
        ("filterFlowId", "a flow", flow_id, CONCERNING_FLOWS),
        ("filterEnvironmentId", "an environment", environment_id, CONCERNING_ENVIRONMENTS),
    ):
        if wanted is not None and trigger not in concerning:
            raise Invalid.of(field_name, f"{trigger} never concerns {kind}, so the rule would match nothing; omit it")


def trial_notice(rule: NotificationRule) -> Notice:
    """Make the notice that tests whether a rule's channel works."""
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
