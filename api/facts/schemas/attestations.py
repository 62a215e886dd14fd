"""Attestations on the wire (facts.md 7.1, C07)."""

from typing import Any
from uuid import UUID

from pydantic import Field, model_validator

from api.facts.schemas.texts import Flag, Name, Short, Text, Url
from api.wire import Instant, WireIn, WireModel
from domain.audit import Actor
from domain.facts.attestations import Attestation, NewAttestation, Origin, ResultStatus


class AttestationIn(WireIn):
    """What was found.

    `passed` is another way to give the status; `description` and `metadata` are the seed's names, kept as fields of
    their own. `attestedBy` is shown as a claim: the audit names the caller.
    """

    model_config = {
        "json_schema_extra": {
            "examples": [{"type": "TEST", "status": "PASSED", "name": "unit tests", "details": "412 tests, 0 failures"}]
        }
    }

    type: Name
    status: ResultStatus | None = None
    passed: Flag | None = None
    name: Name | None = None
    details: Text | None = None
    description: Text | None = None
    metadata: dict[str, Any] | None = Field(None, description="Free-form data of the reporter")
    evidence_url: Url | None = None
    attested_by: Short | None = None
    org_slug: Short | None = None

    @model_validator(mode="after")
    def _one_status(self) -> "AttestationIn":
        if self.passed is not None and self.status not in (None, _status_of(passed=self.passed)):
            raise ValueError("status and passed contradict each other; give one of them")
        return self

    def attestation(self, trail_id: UUID, actor: Actor) -> NewAttestation:
        """What the command takes."""
        stated = self.status if self.passed is None else _status_of(passed=self.passed)
        return NewAttestation(
            trail_id=trail_id,
            type=self.type,
            status=stated or ResultStatus.PENDING,
            actor=actor,
            origin=Origin.API,
            name=self.name,
            details=self.details,
            description=self.description,
            evidence_url=self.evidence_url,
            user_data=self.metadata,
            claimed_by=self.attested_by,
        )


def _status_of(*, passed: bool) -> ResultStatus:
    return ResultStatus.PASSED if passed else ResultStatus.FAILED


class AttestationOut(WireModel):
    """A recorded attestation with its newest result. `details` falls back to `description`."""

    id: UUID
    trail_id: UUID
    type: str
    status: ResultStatus
    details: str | None
    description: str | None
    metadata: dict[str, Any] | None
    name: str | None
    evidence_url: str | None
    evidence_file_hash: str | None
    evidence_file_name: str | None
    evidence_file_size_bytes: int | None
    compliant: bool
    attested_by: str | None
    org_slug: str
    artifact_fingerprint: str | None
    origin: str
    receipt_id: UUID | None
    observed_at: Instant
    created_at: Instant

    @classmethod
    def of(cls, attestation: Attestation, org_slug: str) -> "AttestationOut":
        """An attestation of the caller's organisation, with the file uploaded last."""
        file = attestation.evidence
        return cls(
            id=attestation.id,
            trail_id=attestation.trail_id,
            type=attestation.type,
            status=attestation.status,
            details=attestation.details if attestation.details is not None else attestation.description,
            description=attestation.description,
            metadata=attestation.user_data,
            name=attestation.name,
            evidence_url=attestation.evidence_url,
            evidence_file_hash=file.digest.removeprefix("sha256:") if file else None,
            evidence_file_name=file.name if file else None,
            evidence_file_size_bytes=file.size if file else None,
            compliant=attestation.status == ResultStatus.PASSED,
            attested_by=attestation.claimed_by,
            org_slug=org_slug,
            artifact_fingerprint=attestation.digest,
            origin=attestation.origin,
            receipt_id=attestation.source_id,
            observed_at=attestation.observed_at,
            created_at=attestation.created_at,
        )
