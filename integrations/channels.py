"""The interface of outbound channels: send one message to one destination, and classify a failure for retries."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from domain.errors import Invalid
from domain.notifications.channel_config import checked_config
from domain.notifications.rules import Channel
from domain.retries import ErrorClass

MAX_RESPONSE = 20 * 1024
"""Bytes of a response that are read and stored."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send, with its templates rendered. `id` is the same in every attempt.

    `payload` was stored with the message; storage.notifications.commands.notices defines its keys. A letter to one
    person says everything in `message`: channels add nothing to it.
    """

    id: UUID
    event: str
    title: str
    message: str
    severity: str
    created_at: datetime
    payload: Mapping[str, Any]
    is_letter: bool = False


@dataclass(frozen=True, slots=True)
class ChannelTarget:
    """The destination: the rule's channel configuration in clear, and the signing secrets, newest first."""

    config: Mapping[str, Any]
    signing_secrets: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SendResult:
    """The message was accepted. `status_code` is HTTP's or SMTP's; `response` is the response text, capped."""

    status_code: int | None = None
    response: str = ""


class SendFailed(Exception):  # noqa: N818
    """The message was not accepted, or the outcome is unknown.

    `reason` may be shown to members of the organisation: it never contains the secret parts of an address. `gone`: the
    destination wants no more messages at all (410). `quick`: the connection failed within a second.
    """

    def __init__(
        self,
        error_class: ErrorClass,
        reason: str,
        *,
        status_code: int | None = None,
        response: str = "",
        retry_after: timedelta | None = None,
        gone: bool = False,
        quick: bool = False,
    ) -> None:
        super().__init__(reason)
        self.error_class = error_class
        self.reason = reason
        self.status_code = status_code
        self.response = response
        self.retry_after = retry_after
        self.gone = gone
        self.quick = quick


_UNSTORABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_CAMEL_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def storable(text: str) -> str:
    """Make a received text fit to be stored and shown: at most MAX_RESPONSE characters, no control characters."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text[:MAX_RESPONSE])


def readable(name: str) -> str:
    """Turn an API name into words: `GATE_BLOCKED` becomes "Gate blocked", `trailId` becomes "Trail id"."""
    return _CAMEL_CASE.sub(" ", name).replace("_", " ").capitalize()


def details(message: Outgoing) -> Iterator[tuple[str, str]]:
    """Yield what a message is about, as pairs of label and value: the entity first, then the data."""
    kind, entity = message.payload.get("entityType"), message.payload.get("entityId")
    if kind and entity:
        yield readable(kind), entity
    for name, value in (message.payload.get("data") or {}).items():
        if value is not None and value != entity:
            yield readable(name), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def config_of(channel: Channel, target: ChannelTarget) -> Mapping[str, Any]:
    """Return the target's configuration if it is valid for the channel. Raises SendFailed."""
    try:
        return checked_config(channel, target.config)
    except Invalid as invalid:
        raise SendFailed(ErrorClass.PERMANENT, f"The rule's channel is not usable: {invalid.message}.") from None


class Send(Protocol):
    """Send one message. Raises SendFailed for every expected failure."""

    async def __call__(self, message: Outgoing, target: ChannelTarget, now: datetime, /) -> SendResult:
        """Return the result of an accepted message."""
