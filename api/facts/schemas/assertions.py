"""Request and response models of assertions."""

from typing import Self
from uuid import UUID

from pydantic import AliasChoices, Field

from api.http.calls import Call
from api.http.texts import Name
from api.http.wire import Instant, WireIn, WireModel, shows
from domain.audit.events import Actor
from domain.errors import Invalid
from domain.facts.assertions import AssertionOutcome, Considered
from domain.facts.attestations import ResultStatus
from storage.facts.commands.assertions import Decision, NewAssertion


class AssertIn(WireIn):
    """The artifact and the flow to assert. `artifactSha256` is an alternative name for `sha256Digest`.

    With `trailId` the flow may be omitted, and only that trail's report of the artifact counts.
    """

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "flowId": "0190a8c0-0000-7000-8000-000000000001",
                    "sha256Digest": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                }
            ]
        }
    }

    flow_id: UUID | None = None
    trail_id: UUID | None = None
    sha256_digest: Name = Field(
        validation_alias=AliasChoices("sha256Digest", "artifactSha256"),
        description="64 hex digits in any case, with or without `sha256:`",
    )

    def to_command(self, actor: Actor) -> NewAssertion:
        """Return the input of the command. Raises Invalid when neither a flow nor a trail is named."""
        if self.flow_id is None and self.trail_id is None:
            raise Invalid.of("flowId", "is required, unless trailId is given")
        return NewAssertion(self.sha256_digest, actor, self.flow_id, self.trail_id)


class ConsideredOut(WireModel):
    """A considered attestation with its latest result. `required` says whether the flow requires it."""

    id: UUID = shows("attestation_id")
    type: str
    name: str | None
    status: ResultStatus
    required: bool
    artifact_fingerprint: str | None
    observed_at: Instant

    @classmethod
    def of(cls, considered: Considered, _call: Call) -> Self:
        """Return one of the considered results."""
        newest = considered.newest
        return cls.filled(newest, required=considered.required, artifact_fingerprint=newest.digest or None)


class AssertionOut(WireModel):
    """The outcome with its reasons. Failed attestations are listed as missing too. `verdictId` is the verdict's id."""

    verdict_id: UUID
    flow_id: UUID
    flow_name: str
    flow_version: int
    trail_id: UUID | None
    artifact_id: UUID | None
    sha256_digest: str
    compliant: bool
    status: AssertionOutcome
    checked_at: Instant
    attestations: list[ConsideredOut]
    missing_attestations: list[str]
    failed_attestations: list[str]
    missing_attestation_types: list[str]
    failed_attestation_types: list[str]
    missing_attestation_names: list[str]
    failed_attestation_names: list[str]
    details: str
    message: str

    @classmethod
    def decided(cls, decision: Decision, digest: str, call: Call) -> Self:
        """Return the outcome, with `digest` as the caller sent it."""
        verdict, found = decision.verdict, decision.assessment
        return cls(
            verdict_id=verdict.id,
            flow_id=verdict.inputs["flowId"],
            flow_name=decision.flow_name,
            flow_version=verdict.inputs["flowVersion"],
            trail_id=verdict.trail_id,
            artifact_id=verdict.inputs["artifactId"],
            sha256_digest=digest,
            compliant=found.outcome is AssertionOutcome.COMPLIANT,
            status=found.outcome,
            checked_at=verdict.created_at,
            attestations=[ConsideredOut.of(one, call) for one in found.considered],
            missing_attestations=[*found.missing_types, *found.missing_names],
            failed_attestations=[*found.failed_types, *found.failed_names],
            missing_attestation_types=list(found.missing_types),
            failed_attestation_types=list(found.failed_types),
            missing_attestation_names=list(found.missing_names),
            failed_attestation_names=list(found.failed_names),
            details=found.details,
            message=found.details,
        )
