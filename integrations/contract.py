"""What an inbound vendor offers: pure verification and parsing, bytes in and values out (engineering.md 1.3, 4.6)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Protocol
from uuid import UUID


class BadSignature(Exception):  # noqa: N818
    """The delivery does not prove itself. `reason` is for our metrics and logs, never for the sender."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BadDelivery(Exception):  # noqa: N818
    """The delivery proves itself, but its content cannot be read. The message is safe to show to the sender."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class SenderProof(StrEnum):
    """How a delivery proves itself. Once a config's sender has signed, its token alone is not enough any more."""

    SIGNED = "signed"
    """A signature over the body."""
    TOKEN = "token"  # noqa: S105 - names a kind of proof
    """A shared secret sent in clear, which proves who sends but not what."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A delivery that proved itself.

    `delivery_id` is the sender's own id for it, stable across redeliveries: the key of deduplication.
    `event` is the sender's name for what happened, as far as headers tell; None when only the body knows.
    """

    delivery_id: str
    event: str | None
    proof: SenderProof = SenderProof.SIGNED


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the drain hands to `parse`: raw bytes with the few headers that were kept."""

    event: str | None
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class TrailHint:
    """How a vendor's event names the trail it belongs to: by our id, else by commit within the config's flow."""

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
    """One attestation that a vendor's event amounts to. `status` is PASSED, FAILED or PENDING."""

    type: str
    status: str
    name: str | None = None
    details: str | None = None
    evidence_url: str | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """What an event means to us; no trail and no attestations means: known, kept, nothing to record.

    `event_type` is our name, such as `build.succeeded`, or `<vendor>.<event>` for what we only keep.
    `observed_at` is the sender's own time of the event, where it gives one.
    """

    event_type: str
    actor: str | None = None
    trail: TrailHint | None = None
    attestations: Sequence[AttestationHint] = field(default_factory=tuple)
    observed_at: datetime | None = None


class Verify(Protocol):
    """Check the signature over the raw bytes.

    `headers` has lower-case names. `secrets` holds every secret valid now (two during a rotation), never empty.
    Raises BadSignature; once the signature holds, BadDelivery for an id or event name that cannot be kept.
    """

    def __call__(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, /) -> Verified:
        """The proven delivery."""


class Parse(Protocol):
    """Read a verified delivery. Raises BadDelivery when the body is not what the sender's documents promise."""

    def __call__(self, delivery: Delivery, /) -> Parsed:
        """What the delivery means."""


@dataclass(frozen=True, slots=True)
class Sender:
    """One inbound vendor, as listed in `integrations.SENDERS`."""

    source: str
    verify: Verify
    parse: Parse
    kept_headers: frozenset[str]
    """Headers stored with the delivery because `parse` reads them; never one that carries a signature or secret."""
    json_of: Callable[[Delivery], bytes] = attrgetter("body")
    """Where the JSON is: the body, or a part of it. Raises BadDelivery."""
    takes_token: bool = False
    """Whether a token in clear may stand in the place of a signature: for a config whose sender never signed."""
    validate_on_accept: bool = False
    """Whether the whole body is validated before the 202 (our own schema: GENERIC) rather than only its syntax."""
