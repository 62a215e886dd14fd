"""What an outbound channel offers: one message to one destination, and what a failure means (engineering.md 2.5)."""

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
"""Bytes of an answer that are read and kept."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message about to leave, its templates filled in. `id` is the same in every attempt.

    `payload` is what was kept with the message (storage.notifications.commands.notices says which keys).
    """

    id: UUID
    event: str
    title: str
    message: str
    severity: str
    created_at: datetime
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChannelTarget:
    """Where it goes: the rule's channel configuration in clear, and the secrets to sign with, newest first."""

    config: Mapping[str, Any]
    signing_secrets: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SendResult:
    """The other side took it. `status_code` is HTTP's or SMTP's; `response` is what it said, capped."""

    status_code: int | None = None
    response: str = ""


class SendFailed(Exception):  # noqa: N818
    """The message did not arrive, or nobody can tell.

    `reason` may be shown to the organisation's people: it never contains an address' secret parts. `gone` means that
    the destination wants no more messages at all (410). `quick` means that no connection came about within a second.
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
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def storable(text: str) -> str:
    """What the other side said, fit to be kept and shown: at most MAX_RESPONSE characters, no control characters."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text[:MAX_RESPONSE])


def readable(name: str) -> str:
    """A name of the wire as people read it: `GATE_BLOCKED` is "Gate blocked", `trailId` is "Trail id"."""
    return _HUMP.sub(" ", name).replace("_", " ").capitalize()


def details(message: Outgoing) -> Iterator[tuple[str, str]]:
    """What a message is about beside its text, as pairs of label and value: the entity first, then the data."""
    kind, entity = message.payload.get("entityType"), message.payload.get("entityId")
    if kind and entity:
        yield readable(kind), entity
    for name, value in (message.payload.get("data") or {}).items():
        if value is not None and value != entity:
            yield readable(name), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def config_of(channel: Channel, target: ChannelTarget) -> Mapping[str, Any]:
    """The target's configuration, if it says where to send to. Raises SendFailed."""
    try:
        return checked_config(channel, target.config)
    except Invalid as invalid:
        raise SendFailed(ErrorClass.PERMANENT, f"The rule cannot be followed: {invalid.message}.") from None


class Send(Protocol):
    """Deliver one message. Raises SendFailed and nothing else that is foreseeable."""

    async def __call__(self, message: Outgoing, target: ChannelTarget, now: datetime, /) -> SendResult:
        """The proof that it was taken."""
