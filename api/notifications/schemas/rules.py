"""Request and response models of notification rules."""

import json
from datetime import timedelta
from typing import Annotated, Any, Self, cast
from uuid import UUID

from pydantic import BeforeValidator, Field, WithJsonSchema

from api.http.calls import Call
from api.http.reading import parse_json
from api.http.texts import Flag, Name
from api.http.wire import Instant, WireIn, WireModel, shows
from domain.errors import Invalid
from domain.notifications.rules import GRACE, Channel, NewRule, NotificationRule, RuleChange
from domain.notifications.templates import MAX_SOURCE, VARIABLES, check_template
from domain.notifications.triggers import Trigger
from storage.notifications.commands.rules import Issued, NewSigningSecret

MAX_CONFIG = 8 * 1024
MAX_GRACE_HOURS = 24 * 7


def _config(given: Any) -> Any:
    """Return the JSON object in a text, or any other value for pydantic to check."""
    text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    if len(text.encode()) > MAX_CONFIG:
        raise ValueError(f"has more than {MAX_CONFIG} bytes")
    if not isinstance(given, str):
        return given
    try:
        config = parse_json(given.encode())
    except Invalid as error:
        raise ValueError(error.message) from error
    if not isinstance(config, dict):
        raise ValueError("must be a JSON object")  # noqa: TRY004 - pydantic's validators raise ValueError
    return config


ChannelConfig = Annotated[
    dict[str, Any],
    BeforeValidator(_config),
    WithJsonSchema({"anyOf": [{"type": "string", "contentMediaType": "application/json"}, {"type": "object"}]}),
    Field(
        description="A JSON object, or a text containing one, of at most 8 KiB. WEBHOOK and SLACK need `webhookUrl`. "
        "WEBHOOK accepts a signing `secret` (`whsec_` and base64 of 24 to 64 bytes); the default is a random one. "
        "EMAIL needs `to`, 1 to 20 addresses as a list or separated by commas. IN_APP needs nothing."
    ),
]
TemplateText = Annotated[
    str,
    Field(
        description=f"A Jinja template that replaces the default text, of at most {MAX_SOURCE >> 10} KiB. Variables: "
        f"{', '.join(f'`{name}`' for name in VARIABLES)}. If rendering fails, the default text is sent with a note."
    ),
]
_TEMPLATES = ("title_template", "message_template")
_FILTERS = ("filter_flow_id", "filter_environment_id")
_WEBHOOK = '{"webhookUrl": "https://hooks.example.com/trailgate"}'


class NotificationRuleIn(WireIn):
    """A new rule: the event that triggers it, and the channel. Without filters all flows and environments apply."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "name": "failed attestations to the chat",
                    "triggerEvent": "ATTESTATION_FAILED",
                    "channelType": "WEBHOOK",
                    "channelConfig": _WEBHOOK,
                    "titleTemplate": "{{ severity }}: {{ title }}",
                }
            ]
        }
    }

    name: Name
    trigger_event: Trigger
    channel_type: Channel
    channel_config: ChannelConfig = {}
    filter_flow_id: UUID | None = None
    filter_environment_id: UUID | None = None
    title_template: TemplateText | None = None
    message_template: TemplateText | None = None

    def to_command(self) -> NewRule:
        """Return the input of the command. Raises Invalid for malformed templates."""
        return NewRule(
            name=self.name,
            trigger=self.trigger_event,
            channel=self.channel_type,
            config=self.channel_config,
            filter_flow_id=self.filter_flow_id,
            filter_environment_id=self.filter_environment_id,
            **_checked_templates(self),
        )


class NotificationRuleChangeIn(WireIn):
    """Changes to a rule. An absent or null field keeps its value; a `clear…` flag removes it and takes precedence.

    A `channelConfig` with masked secrets, as it was read, keeps those secrets.
    """

    model_config = {
        "json_schema_extra": {
            "examples": [{"name": "another name", "isActive": False, "clearFilterFlowId": True}, {"isActive": True}]
        }
    }

    name: Name | None = None
    is_active: Flag | None = None
    trigger_event: Trigger | None = None
    channel_type: Channel | None = None
    channel_config: ChannelConfig | None = None
    filter_flow_id: UUID | None = None
    filter_environment_id: UUID | None = None
    title_template: TemplateText | None = None
    message_template: TemplateText | None = None
    clear_filter_flow_id: Flag = False
    clear_filter_environment_id: Flag = False
    clear_title_template: Flag = False
    clear_message_template: Flag = False

    def to_command(self) -> RuleChange:
        """Return the input of the command. Raises Invalid for malformed templates."""
        fields = {
            "name": self.name,
            "is_active": self.is_active,
            "trigger": self.trigger_event,
            "channel": self.channel_type,
            "config": self.channel_config,
            "filter_flow_id": self.filter_flow_id,
            "filter_environment_id": self.filter_environment_id,
            **_checked_templates(self),
        }
        given = {name: value for name, value in fields.items() if value is not None}
        cleared = {name: None for name in (*_FILTERS, *_TEMPLATES) if getattr(self, f"clear_{name}")}
        return cast("RuleChange", given | cleared)


class SigningSecretIn(WireIn):
    """A new signing secret, random by default. The previous secret stays in use until the grace period ends."""

    model_config = {"json_schema_extra": {"examples": [{"graceHours": 24}]}}

    secret: Annotated[
        str | None, Field(max_length=512, description="`whsec_` and base64 of 24 to 64 bytes (Standard Webhooks 1.0)")
    ] = None
    grace_hours: Annotated[
        int, Field(strict=True, ge=0, le=MAX_GRACE_HOURS, description="Hours during which both secrets are used")
    ] = GRACE // timedelta(hours=1)

    def to_command(self, rule_id: UUID) -> NewSigningSecret:
        """Return the input of the command."""
        return NewSigningSecret(rule_id, self.secret, timedelta(hours=self.grace_hours))


class NotificationRuleOut(WireModel):
    """A notification rule. Its ETag is its version. `channelConfig` is JSON text with masked secrets."""

    id: UUID
    name: str
    is_active: bool
    trigger_event: Trigger = shows("trigger")
    channel_type: Channel = shows("channel")
    channel_config: str
    filter_flow_id: UUID | None
    filter_environment_id: UUID | None
    title_template: str | None
    message_template: str | None
    previous_secret_until: Instant | None = shows("previous_until")
    version: int
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, rule: NotificationRule, _call: Call) -> Self:
        """Return the rule with its configuration as text."""
        return cls.filled(rule, channel_config=_shown(rule))


class IssuedRuleOut(NotificationRuleOut):
    """A rule with the signing secret issued by this request. The secret is returned only once; null if it is unchanged.

    Receivers use it to check signatures as described by Standard Webhooks 1.0.
    """

    signing_secret: str | None

    @classmethod
    def of(cls, issued: Issued, _call: Call) -> Self:  # type: ignore[override]  # a rule just changed, with its secret
        """Return the rule with its configuration as text and its signing secret."""
        return cls.filled(issued.rule, channel_config=_shown(issued.rule), signing_secret=issued.signing_secret)


def _shown(rule: NotificationRule) -> str:
    return json.dumps(rule.config_shown, ensure_ascii=False, sort_keys=True)


def _checked_templates(body: NotificationRuleIn | NotificationRuleChangeIn) -> dict[str, str | None]:
    given = {name: getattr(body, name) for name in _TEMPLATES}
    for name, source in given.items():
        if source is not None:
            check_template(type(body).model_fields[name].alias or name, source)
    return given
