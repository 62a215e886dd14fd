"""Request and response models of provenance."""

import json
from dataclasses import fields
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field, StringConstraints, field_validator
from pydantic.alias_generators import to_camel

from api.http.calls import Call
from api.http.problems import invalid_under
from api.http.reading import parse_json
from api.http.texts import Long, Short
from api.http.wire import Instant, WireIn, WireModel, shows
from domain.errors import Invalid
from domain.facts.artifacts import ProvenanceStatus
from domain.facts.provenance import Build, BuilderType, Check, Provenance, ProvenanceClaim, SlsaLevel
from integrations.formats.dsse.verify import MAX_SIGNATURES
from integrations.formats.intoto.parse import MAX_TEXT, Statement

Uri = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
Builder = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT, pattern=r"\S")]


_ENVELOPE = (
    "payload",
    "payload_type",
    "signatures",
    "media_type",
    "verification_material",
    "dsse_envelope",
    "message_signature",
)
"""The fields of a body that is itself an envelope, or a bundle with one."""


class ProvenanceIn(WireIn):
    """The builder and the sources of an artifact, with an optional proof.

    The proof is a DSSE `envelope` with an in-toto statement of SLSA provenance, as an object or as JSON text; the body
    itself may also be one (`payload`, `payloadType`, `signatures`). A Sigstore bundle with a `dsseEnvelope` is accepted
    in its place. Fields that the envelope states need not be given again; fields that are given but not stated in the
    envelope keep the provenance unverified.

    Without an envelope, `builderId` and `builderType` are required, and `provenanceSignature` may hold a base64
    signature of the fields. It covers the UTF-8 JSON of one object without blanks, with the members artifactDigest,
    buildConfigUri, buildFinishedOn, buildStartedOn, builderId, builderType, slsaLevel, sourceCommitSha and
    sourceRepositoryUri in this order. Missing values are null (slsaLevel: "L0"), times have the form
    2026-01-31T12:00:00.000000Z, and the digest is sha256: and 64 lower-case digits.
    """

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "builderId": "https://github.com/example/shop/.github/workflows/release.yml@refs/heads/main",
                    "builderType": "GITHUB_ACTIONS",
                    "sourceRepositoryUri": "https://github.com/example/shop",
                    "sourceCommitSha": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
                    "slsaLevel": "L2",
                }
            ]
        }
    }

    builder_id: Builder | None = None
    builder_type: BuilderType | None = None
    build_config_uri: Uri | None = None
    source_repository_uri: Uri | None = None
    source_commit_sha: Short | None = None
    build_started_on: Instant | None = None
    build_finished_on: Instant | None = None
    provenance_signature: Long | None = None
    slsa_level: SlsaLevel = SlsaLevel.L0
    envelope: Annotated[
        dict[str, Any] | str | None, Field(description="A DSSE envelope, as an object or as JSON text")
    ] = None
    payload: Annotated[str | None, Field(description="The payload, if the body itself is a DSSE envelope")] = None
    payload_type: str | None = None
    signatures: Annotated[list[dict[str, Any]], Field(max_length=MAX_SIGNATURES)] | None = None
    media_type: Annotated[str | None, Field(description="The media type, if the body itself is a Sigstore bundle")] = (
        None
    )
    verification_material: dict[str, Any] | None = None
    dsse_envelope: dict[str, Any] | None = None
    message_signature: dict[str, Any] | None = None

    @field_validator("envelope")
    @classmethod
    def _one_form(cls, envelope: Any) -> Any:
        if not isinstance(envelope, str):
            return envelope
        try:
            value = parse_json(envelope.encode())
        except Invalid as error:
            raise invalid_under("envelope", error) from error
        if not isinstance(value, dict):
            raise ValueError("must be an object, or its JSON text")  # noqa: TRY004 - pydantic turns these into 400
        return value

    def envelope_text(self) -> str | None:
        """Return the envelope as it is stored, or None. Raises Invalid when there are two."""
        fields = ((to_camel(name), getattr(self, name)) for name in _ENVELOPE)
        root = {name: value for name, value in fields if value is not None}
        if root and self.envelope is not None:
            raise Invalid.of("envelope", "the body itself is also an envelope; give one of them")
        envelope = root or self.envelope
        return None if envelope is None else json.dumps(envelope, ensure_ascii=False, separators=(",", ":"))

    def to_claim(self, digest: str, stated: Statement | None, unread: str = "") -> ProvenanceClaim:
        """Return the claim, filled from the envelope where the body says nothing.

        `unread` is the reason why the envelope states nothing. Raises Invalid, with the reason, without a builder.
        """
        given = Build(**{field.name: getattr(self, field.name) for field in fields(Build)})
        build, builder_type = given, self.builder_type
        if stated and stated.build:
            build, builder_type = given.filled(stated.build), builder_type or stated.builder_type
        if unread and (build.builder_id is None or builder_type is None):
            raise Invalid.of("envelope", f"{unread} To record it all the same, give builderId and builderType.")
        if build.builder_id is None:
            raise Invalid.of("builderId", "is required, unless SLSA provenance in an envelope names the builder")
        if builder_type is None:
            raise Invalid.of("builderType", "is required, unless an envelope contains SLSA provenance")
        signature = self.provenance_signature
        return ProvenanceClaim(
            digest=digest,
            build=build,
            builder_type=builder_type,
            slsa_level=self.slsa_level,
            signature=signature if signature and signature.strip() else None,
            envelope=self.envelope_text(),
        )


class ProvenanceOut(WireModel):
    """Recorded provenance. As of `checkedAt`, `message` says why it is verified or not, and `keyId` names the key.

    `slsaLevel` is the reporter's claim; it is not part of the envelope's statement.
    """

    id: UUID
    artifact_id: UUID = shows("report_id")
    trail_id: UUID
    sha256_digest: str
    builder_id: str
    builder_type: BuilderType
    build_config_uri: str | None
    source_repository_uri: str | None
    source_commit_sha: str | None
    build_started_on: Instant | None
    build_finished_on: Instant | None
    provenance_signature: str | None
    envelope: dict[str, Any] | None
    slsa_level: SlsaLevel
    provenance_status: ProvenanceStatus
    message: str
    key_id: str | None
    predicate_type: str | None
    checked_at: Instant
    recorded_at: Instant = shows("created_at")

    @classmethod
    def of(cls, provenance: Provenance, _call: Call) -> Self:
        """Return the provenance with its latest check."""
        claim, check = provenance.claim, provenance.check
        return cls.filled(
            provenance,
            sha256_digest=claim.digest,
            **claim.build.values(),
            builder_type=claim.builder_type,
            provenance_signature=claim.signature,
            envelope=json.loads(claim.envelope) if claim.envelope else None,
            slsa_level=claim.slsa_level,
            provenance_status=check.status.provenance_status,
            message=check.reason,
            key_id=check.signer,
            predicate_type=check.predicate_type,
            checked_at=check.created_at,
        )


class VerificationOut(WireModel):
    """The result of a check. `keyId` names the key of the valid signature."""

    artifact_id: UUID
    provenance_status: ProvenanceStatus
    message: str
    key_id: str | None
    checked_at: Instant | None

    @classmethod
    def none(cls, artifact_id: UUID) -> Self:
        """Return the result for an artifact without provenance."""
        message = "No provenance is recorded for this artifact."
        status = ProvenanceStatus.NO_PROVENANCE
        return cls(artifact_id=artifact_id, provenance_status=status, message=message, key_id=None, checked_at=None)

    @classmethod
    def checked(cls, artifact_id: UUID, check: Check, *, added: bool) -> Self:
        """Return the latest check. `added` means that this request recorded it, as its outcome is new."""
        since = "This was recorded as a new check." if added else "Nothing changed since the last recorded check."
        return cls(
            artifact_id=artifact_id,
            provenance_status=check.status.provenance_status,
            message=f"{check.reason} {since}",
            key_id=check.signer,
            checked_at=check.created_at,
        )
