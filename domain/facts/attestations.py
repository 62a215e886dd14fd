"""What an attestation is (facts.md 7)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain.audit.events import Actor

OLDEST_OBSERVATION = timedelta(days=30)
NEWEST_OBSERVATION = timedelta(minutes=5)


class ResultStatus(StrEnum):
    """The outcome that an attestation states."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    PENDING = "PENDING"

    @classmethod
    def of(cls, *, passed: bool | None) -> "ResultStatus":
        """Of a verdict that is yes, no, or open."""
        return cls.PENDING if passed is None else cls.PASSED if passed else cls.FAILED


class Origin(StrEnum):
    """Through which door a fact came in."""

    API = "api"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class NewAttestation:
    """An attestation as it is reported.

    `slot` is the name of the artifact it is meant for, `digest` the very artifact; without either it speaks of the
    trail. `payload` is what we made of it, `user_data` what the reporter wants kept. `observed_at` None = now; a
    sender's time is `clamped` before. `source_id` is the receipt of the delivery it came with. `claimed_by` is who the
    body says reported it: shown, never trusted.
    """

    trail_id: UUID
    type: str
    status: ResultStatus
    actor: Actor
    origin: Origin
    name: str | None = None
    slot: str | None = None
    digest: str | None = None
    git_commit: str | None = None
    source_id: UUID | None = None
    details: str | None = None
    description: str | None = None
    evidence_url: str | None = None
    user_data: Mapping[str, Any] | None = None
    payload: Mapping[str, Any] | None = None
    claimed_by: str | None = None
    observed_at: datetime | None = None

    @property
    def key(self) -> str:
        """Under which the newest one counts: its name, else its type (ARCHITECTURE.md 4.1, slot_heads)."""
        return self.name or f"type:{self.type}"


@dataclass(frozen=True, slots=True)
class EvidenceSummary:
    """The file uploaded last; `digest` is `sha256:` and 64 hexadecimal digits, `size` in bytes."""

    digest: str
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Attestation:
    """A recorded attestation with its newest result; a processor's details stand in the place of the reporter's."""

    id: UUID
    org_id: UUID
    trail_id: UUID
    type: str
    name: str | None
    slot: str | None
    digest: str | None
    git_commit: str | None
    origin: str
    source_id: UUID | None
    details: str | None
    description: str | None
    evidence_url: str | None
    user_data: dict[str, Any] | None
    payload: dict[str, Any] | None
    claimed_by: str | None
    observed_at: datetime
    created_at: datetime
    result_n: int
    status: ResultStatus
    reason: str | None
    evidence: EvidenceSummary | None


def clamped(observed: datetime | None, received: datetime) -> datetime:
    """The sender's time where it can be true: at most 30 days before the receipt and 5 minutes after it."""
    if observed is None:
        return received
    return min(max(observed, received - OLDEST_OBSERVATION), received + NEWEST_OBSERVATION)
