"""Request and response models of attestations."""

from collections.abc import Mapping
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from api.http.calls import Call
from api.http.digests import Sha256
from api.http.paging import EitherQuery
from api.http.synonyms import agreed
from api.http.texts import Flag, Name, Short, Text, Url
from api.http.wire import Instant, WireIn, WireModel, shows
from domain.audit.events import Actor
from domain.facts.attestation_names import checked_name
from domain.facts.attestations import Attestation, NewAttestation, Origin, ResultStatus


class AttestationIn(WireIn):
    """A new attestation.

    `passed` is an alternative to `status`. `description` and `metadata` are fields of their own; `description` also
    stands in for missing `details`. `attestedBy` is returned as claimed; the audit event names the authenticated
    caller. The attestation is about the artifact with the digest `artifactFingerprint` (alternative names:
    `artifactSha256`, `sha256Digest`), about the artifacts that the template calls `targetArtifact`, or else about the
    trail.
    """

    model_config = {
        "json_schema_extra": {
            "examples": [{"type": "TEST", "status": "PASSED", "name": "unit tests", "details": "412 tests, 0 failures"}]
        }
    }

    type: Name
    status: ResultStatus | None = None
    passed: Flag | None = None
    name: Annotated[Name, AfterValidator(checked_name)] | None = None
    details: Text | None = None
    description: Text | None = None
    metadata: dict[str, Any] | None = Field(None, description="Arbitrary data of the reporter")
    evidence_url: Url | None = None
    artifact_fingerprint: Sha256 | None = None
    artifact_sha256: Sha256 | None = None
    sha256_digest: Sha256 | None = None
    target_artifact: Name | None = None
    git_commit: Short | None = None
    attested_by: Short | None = None
    org_slug: Short | None = None

    @model_validator(mode="after")
    def _one_status(self) -> "AttestationIn":
        if self.passed is not None and self.status not in (None, ResultStatus.of(passed=self.passed)):
            raise ValueError("status and passed contradict each other; give one of them")
        return self

    def to_command(self, trail_id: UUID, actor: Actor) -> NewAttestation:
        """Return the input of the command. Raises Invalid when two given digests differ."""
        return NewAttestation(
            trail_id=trail_id,
            type=self.type,
            status=self.status or ResultStatus.of(passed=self.passed),
            actor=actor,
            origin=Origin.API,
            name=self.name,
            slot=self.target_artifact,
            digest=agreed(self, "artifact_fingerprint", "artifact_sha256", "sha256_digest"),
            git_commit=self.git_commit,
            details=self.details,
            description=self.description,
            evidence_url=self.evidence_url,
            user_data=self.metadata,
            claimed_by=self.attested_by,
        )


class AttestationOfTrailIn(AttestationIn):
    """A new attestation, and the trail it belongs to."""

    model_config = {
        "json_schema_extra": {
            "examples": [{"trailId": "0190a8c0-0000-7000-8000-000000000002", "type": "TEST", "status": "PASSED"}]
        }
    }

    trail_id: UUID


class AttestationsQuery(EitherQuery):
    """Filters of a trail's attestations. `status` is the status shown."""

    type: Short | None = None
    name: Short | None = None
    status: ResultStatus | None = None

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filters, as keyword arguments of the query."""
        return {"type_": self.type, "name": self.name, "status": self.status}


class AttestationOut(WireModel):
    """A recorded attestation.

    `status` and `details` are of the report or of an evidence file, whichever decides: the worst of the report and the
    newest result of each file name. `details` falls back to `description`. `identity` says what ran, as its reporter
    tells it apart: of a trail's attestations with the same identity and artifact, the newest counts. `run` is the run
    that it belongs to; results of a run that a newer one superseded no longer count.
    """

    id: UUID
    trail_id: UUID
    type: str
    status: ResultStatus
    details: str | None
    description: str | None
    metadata: dict[str, Any] | None = shows("user_data")
    name: str | None
    identity: str
    run: str | None
    evidence_url: str | None
    evidence_file_hash: str | None
    evidence_file_name: str | None
    evidence_file_size_bytes: int | None
    compliant: bool
    attested_by: str | None = shows("claimed_by")
    org_slug: str
    artifact_fingerprint: str | None = shows("digest")
    target_artifact: str | None = shows("slot")
    git_commit: str | None
    origin: str
    receipt_id: UUID | None = shows("source_id")
    observed_at: Instant
    created_at: Instant

    @classmethod
    def of(cls, attestation: Attestation, call: Call) -> Self:
        """Return the attestation with its last uploaded file."""
        file = attestation.evidence
        return cls.filled(
            attestation,
            details=attestation.details if attestation.details is not None else attestation.description,
            evidence_file_hash=file.digest.removeprefix("sha256:") if file else None,
            evidence_file_name=file.name if file else None,
            evidence_file_size_bytes=file.size if file else None,
            compliant=attestation.status == ResultStatus.PASSED,
            org_slug=call.tenant.org_slug,
        )
