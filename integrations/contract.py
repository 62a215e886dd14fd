"""The interface of inbound senders: pure functions that verify and parse a delivery."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Protocol
from uuid import UUID


class BadSignature(Exception):  # noqa: N818
    """The delivery is not authentic. `reason` is a code for metrics and logs, never for the sender."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BadDelivery(Exception):  # noqa: N818
    """The delivery is authentic, but its content is not usable. The message may be shown to the sender.

    It is the reason, behind the field if one is at fault.
    """

    def __init__(self, reason: str, field: str = "") -> None:
        self.message = f"{field}: {reason}" if field else reason
        super().__init__(self.message)
        self.reason = reason
        self.field = field


class SenderProof(StrEnum):
    """How a delivery is authenticated. Once a config's sender has signed, a token alone is no longer accepted."""

    SIGNED = "signed"
    """A signature over the body."""
    TOKEN = "token"  # noqa: S105 - names a kind of proof
    """A shared secret sent in clear, which proves the sender but not the content."""


@dataclass(frozen=True, slots=True)
class Verified:
    """An authentic delivery.

    `delivery_id` is the sender's own id, the same in redeliveries: the key of deduplication. `event` is the sender's
    name of the event; None if `parse` has to read it from the body. `once_per_body`: the body is the key instead. That
    is for a sender whose signature covers neither id nor time, so that a captured body could be sent again under a new
    id, and whose bodies have times and ids of their own, so that no two events have the same.
    """

    delivery_id: str
    event: str | None
    proof: SenderProof = SenderProof.SIGNED
    once_per_body: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """The input of `parse`: the raw body and the headers that were stored with it."""

    event: str | None
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class TrailHint:
    """What an event says about its trail, which is found by Trailgate's id, else by commit within the config's flow."""

    trail_id: UUID | None = None
    commit: str | None = None
    branch: str | None = None
    author: str | None = None
    author_email: str | None = None
    repository: str | None = None
    build_url: str | None = None
    pull_request: str | None = None
    pull_request_reviewer: str | None = None
    deployment_actor: str | None = None


@dataclass(frozen=True, slots=True)
class AttestationHint:
    """One attestation that an event implies. `status` is PASSED, FAILED or PENDING.

    `identity` says what ran, as its sender tells it apart; None means the name, else the type. `run` is the sender's id
    of the run that the result belongs to.
    """

    type: str
    status: str
    name: str | None = None
    details: str | None = None
    evidence_url: str | None = None
    identity: str | None = None
    run: str | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A parsed event. Without a trail and attestations it is stored but records nothing.

    `event_type` is Trailgate's name of the event, such as `build.succeeded`, or `<vendor>.<event>` for events that
    record nothing. `observed_at` is the sender's time of the event, if given. `unknown_state` is the state that the
    event tells of, if Trailgate does not know it: its attestation is PENDING, and such events are counted.
    """

    event_type: str
    actor: str | None = None
    trail: TrailHint | None = None
    attestations: Sequence[AttestationHint] = field(default_factory=tuple)
    observed_at: datetime | None = None
    unknown_state: str | None = None


class Verify(Protocol):
    """Authenticate a delivery by its raw bytes.

    `headers` has lower-case names. `secrets` holds every currently valid secret (two during a rotation); without any,
    BadSignature says what the headers leave to be proven: `signature_mismatch` or `token_mismatch` if a secret could
    do so, and anything else if nothing can. A token must be checked before the body is looked at: the receiver asks
    with an empty body whether to read the real one.
    Raises BadSignature; for an authentic delivery, BadDelivery for an id or event name that cannot be stored.
    """

    def __call__(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, /) -> Verified:
        """Return the id and the event of the delivery."""


class Parse(Protocol):
    """Parse a verified delivery. Raises BadDelivery if the body does not tell what happened, and to what.

    Other parts of the body may be missing, overlong or odd: the event is not lost over a part that it does not need.
    """

    def __call__(self, delivery: Delivery, /) -> Parsed:
        """Return the parsed event."""


@dataclass(frozen=True, slots=True)
class Sender:
    """One inbound vendor, as listed in `integrations.SENDERS`."""

    source: str
    verify: Verify
    parse: Parse
    kept_headers: frozenset[str]
    """Headers to store with the delivery because `parse` reads them; never one with a signature or a secret."""
    json_of: Callable[[Delivery], bytes] = attrgetter("body")
    """Return the JSON of a delivery: the body or a part of it. Raises BadDelivery."""
    takes_token: bool = False
    """Whether a token in clear is accepted instead of a signature, as long as the config's sender has never signed."""
    validate_on_accept: bool = False
    """Whether the whole body is validated before the 202 (Trailgate's own format, GENERIC), not only its syntax."""
