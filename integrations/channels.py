"""What an outbound channel offers: one message to one destination, and what a failure means (engineering.md 2.5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

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
class Target:
    """Where it goes: the rule's channel configuration in clear, and the secrets to sign with, newest first."""

    config: Mapping[str, Any]
    signing_secrets: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
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


class Send(Protocol):
    """Deliver one message. Raises SendFailed and nothing else that is foreseeable."""

    async def __call__(self, message: Outgoing, target: Target, now: datetime, /) -> Receipt:
        """The proof that it was taken."""
