"""Parse Trailgate's generic event format, for senders without a supported format of their own."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from domain.facts.attestation_names import checked_name
from integrations.contract import AttestationHint, Delivery, Parsed, TrailHint
from integrations.deliveries import Payload, Url, read, utc_time

_SHA = re.compile(r"[0-9a-fA-F]{7,64}")

_DEFAULTS: Mapping[str, tuple[str, str] | None] = {
    "build.started": None,
    "build.succeeded": ("BUILD", "PASSED"),
    "build.failed": ("BUILD", "FAILED"),
    "test.passed": ("TEST", "PASSED"),
    "test.failed": ("TEST", "FAILED"),
    "scan.passed": ("SECURITY_SCAN", "PASSED"),
    "scan.failed": ("SECURITY_SCAN", "FAILED"),
    "deployment.triggered": None,
    "approval.granted": None,
}
"""The events that find or create a trail, and the (type, status) that each attests unless the sender gives its own."""


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _read_time(value: object) -> object:
    return utc_time(value) if isinstance(value, str) else value


Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
Details = Annotated[str, StringConstraints(max_length=16 * 1024, pattern=r"^[^\x00]*$")]
Status = Annotated[Literal["PASSED", "FAILED", "PENDING"], BeforeValidator(_upper)]
Time = Annotated[datetime, BeforeValidator(_read_time)]


class GenericEvent(Payload):
    """The body of one delivery. Unknown fields are ignored, null counts as absent, blank text is refused."""

    event_type: Line = Field(alias="eventType")
    trail_id: UUID | None = Field(None, alias="trailId")
    git_commit_sha: Line | None = Field(None, alias="gitCommitSha")
    git_branch: Line | None = Field(None, alias="gitBranch")
    git_author: Line | None = Field(None, alias="gitAuthor")
    git_author_email: Line | None = Field(None, alias="gitAuthorEmail")
    attestation_type: Line | None = Field(None, alias="attestationType")
    attestation_status: Status | None = Field(None, alias="attestationStatus")
    attestation_name: Annotated[Line, AfterValidator(checked_name)] | None = Field(None, alias="attestationName")
    details: Details | None = None
    evidence_url: Url | None = Field(None, alias="evidenceUrl")
    observed_at: Time | None = Field(None, alias="observedAt")


def parse(delivery: Delivery, /) -> Parsed:
    """Parse one event; unknown ones become `generic.<eventType>` and record nothing.

    Raises BadDelivery, naming the field.
    """
    event = read(GenericEvent, delivery.body)
    if event.event_type not in _DEFAULTS:
        return Parsed(f"generic.{event.event_type}", event.git_author, observed_at=event.observed_at)
    return Parsed(event.event_type, event.git_author, _trail(event), _attestations(event), event.observed_at)


def _trail(event: GenericEvent) -> TrailHint:
    return TrailHint(
        trail_id=event.trail_id,
        commit=_commit(event.git_commit_sha),
        branch=event.git_branch,
        author=event.git_author,
        author_email=event.git_author_email,
        pull_request_reviewer=event.git_author if event.event_type == "approval.granted" else None,
        deployment_actor=event.git_author if event.event_type == "deployment.triggered" else None,
    )


def _commit(text: str | None) -> str | None:
    """Convert a commit id to lower case; other text stays, because trails made with the API may have any."""
    return text.lower() if text and _SHA.fullmatch(text) else text


def _attestations(event: GenericEvent) -> tuple[AttestationHint, ...]:
    claim = _DEFAULTS[event.event_type]
    if event.attestation_type and event.attestation_status:
        claim = (event.attestation_type, event.attestation_status)
    if claim is None:
        return ()
    return (AttestationHint(*claim, event.attestation_name, event.details, event.evidence_url or None),)
