"""Attestations: reported results, such as those of a test run or a scan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from domain.audit.events import Actor
from domain.errors import Invalid

OLDEST_OBSERVATION = timedelta(days=30)
NEWEST_OBSERVATION = timedelta(minutes=5)


class ResultStatus(StrEnum):
    """The result that an attestation states."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    PENDING = "PENDING"

    @classmethod
    def of(cls, *, passed: bool | None) -> "ResultStatus":
        """Return the status for True, False, or None (not known yet)."""
        return cls.PENDING if passed is None else cls.PASSED if passed else cls.FAILED


_GRAVITY = {ResultStatus.PASSED: 0, ResultStatus.PENDING: 1, ResultStatus.FAILED: 2}


class Result(NamedTuple):
    """Result number `n` of an attestation: the report (n = 1), one read from an evidence file, or an override.

    `file` is the name of the file; None for the others.
    """

    n: int
    status: ResultStatus
    file: str | None = None


def deciding(results: Sequence[Result]) -> Result:
    """Return the result that an attestation shows and counts with.

    It is the newest override, if there is any. Otherwise it is the worst of the report and of each file name's newest
    result, of equally bad ones the newest; a PENDING report gives way to files.
    """
    report, *later = sorted(results)
    overrides = [result for result in later if result.file is None]
    if overrides:
        return overrides[-1]
    counted: dict[str | None, Result] = {result.file: result for result in later}
    if not counted or report.status is not ResultStatus.PENDING:
        counted[None] = report
    return max(counted.values(), key=lambda result: (_GRAVITY[result.status], result.n))


class Origin(StrEnum):
    """How a fact was received."""

    API = "api"
    WEBHOOK = "webhook"
    CI_TOKEN = "ci_token"  # noqa: S105 - a kind, no secret


OIDC_PROVENANCE = "oidc-provenance"
"""The type of attestations that a verified token of a CI job makes, and nothing else."""
TOKEN_NEEDED = f"{OIDC_PROVENANCE} takes the token of a CI job: send it to POST /api/v2/attestations/oidc"


def needs_token(attestation_type: str) -> bool:
    """Whether nobody may claim a type, because only a token proves it."""
    return attestation_type.strip().casefold() == OIDC_PROVENANCE


@dataclass(frozen=True, slots=True)
class NewAttestation:
    """An attestation to record.

    `slot` is the name and `digest` the digest of the artifact it is about; without either it is about the trail.
    `identity` says what ran, as its reporter tells it apart, and `run` in which run. `payload` holds Trailgate's parsed
    data, `user_data` the reporter's own. `observed_at` None = now; limit a sender's time with `clamped` first.
    `source_id` is the id of the webhook delivery it came with. `claimed_by` is the reporter that the request body
    names: shown, never trusted. Without `is_noticed` nobody is notified if it failed, as another attestation says the
    same.
    """

    trail_id: UUID
    type: str
    status: ResultStatus
    actor: Actor
    origin: Origin
    name: str | None = None
    identity: str | None = None
    run: str | None = None
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
    is_noticed: bool = True

    def check_type(self) -> None:
        """Raise Invalid for a type that needs a token, unless it comes from one."""
        if needs_token(self.type) and self.origin is not Origin.CI_TOKEN:
            raise Invalid.of("type", TOKEN_NEEDED)

    @property
    def key(self) -> str:
        """Its identity, else its name, else its type; of one key the newest counts."""
        return self.identity or self.name or f"type:{self.type}"


@dataclass(frozen=True, slots=True)
class EvidenceSummary:
    """The most recently uploaded file. `digest` is `sha256:` and 64 hexadecimal digits, `size` is in bytes."""

    digest: str
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Attestation:
    """A recorded attestation with the result that decides. The details of a parsed file replace the reporter's."""

    id: UUID
    org_id: UUID
    trail_id: UUID
    type: str
    name: str | None
    identity: str
    run: str | None
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
    """Limit a sender's time to between 30 days before and 5 minutes after the time of receipt."""
    if observed is None:
        return received
    return min(max(observed, received - OLDEST_OBSERVATION), received + NEWEST_OBSERVATION)
