"""Request and response models of the gate."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AliasChoices, Field

from api.gates.schemas.approvals import ApproverOut
from api.http.calls import Call
from api.http.paging import MAX_SIZE, EitherQuery
from api.http.texts import Name, OrBlank, Short
from api.http.wire import Instant, WireIn, WireModel
from domain.audit.events import Actor
from domain.environments.compliance import ReasonCode
from domain.errors import Invalid
from domain.facts.digests import normalise_digest
from domain.facts.verdicts import Verdict
from domain.gates.evaluation import PolicyOutcome
from domain.gates.gate import GateOutcome
from domain.gates.remedies import remedy
from storage.gates.commands.gate import Decided
from storage.gates.queries.approvers import Approver
from storage.gates.queries.questions import Question
from storage.paging import Window

DEFAULT_LIMIT = 20
_OUT_OF_SCOPE = "a flow outside the scopes of the key decides"


class GateIn(WireIn):
    """The artifact to deploy, and where to.

    The artifact is given by its digest. With `flowId` only the policies of that flow apply beside those of the
    environment, with `trailId` those of its flow, by that trail's report; if the trail has one artifact the digest may
    be left out. `environment` is the name of the environment, `environmentId` its id; one of them is enough. Without
    an environment, the policies of the flows apply that are not limited to one. `sha256Digest` and `artifactDigest` are
    other names of `artifactSha256`, and `targetEnvironment` is another name of `environment`. Blank texts count as
    absent. An unknown name is refused: it may be a misspelt environment, without which fewer policies would apply.
    """

    model_config = {
        "extra": "forbid",
        "json_schema_extra": {
            "examples": [
                {
                    "artifactSha256": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "flowId": "0190a8c0-0000-7000-8000-000000000001",
                },
                {
                    "artifactSha256": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "environment": "production",
                },
            ]
        },
    }

    artifact_sha256: Annotated[OrBlank[Name], Field(description="64 hex digits, with or without `sha256:`")] = None
    artifact_digest: OrBlank[Name] = None
    sha256_digest: OrBlank[Name] = None
    environment_id: OrBlank[Name] = None
    environment: Annotated[OrBlank[Name], Field(description="The name of the environment, or its id")] = None
    target_environment: OrBlank[Name] = None
    flow_id: OrBlank[UUID] = None
    trail_id: OrBlank[UUID] = None
    requested_by: Annotated[OrBlank[Name], Field(description="Returned as claimed; the audit names the caller")] = None

    def to_command(self, actor: Actor) -> Question:
        """Return the input of the command. Raises Invalid without an artifact, and when two names of it differ."""
        given = {
            normalise_digest(one) for one in (self.artifact_sha256, self.artifact_digest, self.sha256_digest) if one
        }
        if len(given) > 1:
            raise Invalid.of("artifactSha256", "is another one than artifactDigest; give one of them")
        if not given and self.trail_id is None:
            raise Invalid.of("artifactSha256", "is required, unless trailId is given")
        environments = (self.environment_id, self.environment, self.target_environment)
        return Question(
            actor=actor,
            digest=next(iter(given), None),
            environments=tuple(dict.fromkeys(one for one in environments if one)),
            flow_id=self.flow_id,
            trail_id=self.trail_id,
            claimed_by=self.requested_by,
        )


class GatePolicyOut(WireModel):
    """A policy that was evaluated, in the version that then applied."""

    id: UUID
    name: str
    version: int
    outcome: PolicyOutcome


class BlockOut(WireModel):
    """One reason: for programs a code, for people a message, what it is about, and what mends it.

    A dry run that lacks an approval also names who can grant it, 20 people at most; null otherwise.
    """

    code: ReasonCode
    message: str
    policy_id: UUID | None
    flow_id: UUID | None
    trail_id: UUID | None
    attestation_type: str | None
    attestation_name: str | None
    attestation_id: UUID | None
    remedy: str | None
    approvers: list[ApproverOut] | None = None


class GateResultOut(WireModel):
    """A decision of the gate with all its reasons. `id` is that of its verdict.

    `blockReasons` and `reasons` are the same messages, `reason` is all of them in one text, and `blocks` has them with
    codes. `policyId` and `policyName` are those of the first policy that is not fulfilled, or else of the first one.
    `signatureVerified` is null if no policy looked at signatures.
    """

    id: UUID
    decision: GateOutcome
    allowed: bool
    artifact_sha256: str
    environment_id: UUID | None
    environment: str | None
    flow_id: UUID | None
    trail_id: UUID | None
    evaluated_at: Instant
    block_reasons: list[str]
    reasons: list[str]
    reason: str
    blocks: list[BlockOut]
    policies_evaluated: int
    policy_id: UUID | None
    policy_name: str | None
    policies: list[GatePolicyOut]
    signature_verified: bool | None
    allow_list_entry_id: UUID | None
    requested_by: str | None

    @classmethod
    def of(cls, verdict: Verdict, _call: Call) -> Self:
        """Return a stored decision."""
        return cls._made(verdict, verdict.digest, verdict.result["reasons"])

    @classmethod
    def decided(cls, decided: Decided, digest: str | None, approvers: Mapping[str, Sequence[Approver]]) -> Self:
        """Return a decision that was just made, with the digest as the caller sent it, and who can approve by trail.

        To a key with scopes it does not tell what was found in flows outside of them.
        """
        reasons = [_mendable(one, approvers) for one in decided.verdict.result["reasons"]]
        told = [_hidden(one) if one["flowId"] in map(str, decided.hidden) else one for one in reasons]
        shown = cls._made(decided.verdict, digest or decided.verdict.digest, told)
        return (
            shown.model_copy(update={"flow_id": None, "trail_id": None}) if shown.flow_id in decided.hidden else shown
        )

    @classmethod
    def _made(cls, verdict: Verdict, digest: str, reasons: list[dict[str, Any]]) -> Self:
        inputs, result = verdict.inputs, verdict.result
        messages = list(dict.fromkeys(one["message"] for one in reasons))
        policies = result["policies"]
        telling = next((one for one in policies if one["outcome"] == PolicyOutcome.FAILED), None) or next(
            iter(policies), {"id": None, "name": None}
        )
        place = inputs["environment"] or {"id": None, "name": None}
        return cls(
            id=verdict.id,
            decision=GateOutcome(verdict.outcome),
            allowed=verdict.outcome == GateOutcome.ALLOWED,
            artifact_sha256=digest,
            environment_id=place["id"],
            environment=place["name"],
            flow_id=verdict.flow_id,
            trail_id=verdict.trail_id,
            evaluated_at=verdict.created_at,
            block_reasons=messages,
            reasons=messages,
            reason="; ".join(messages) or result["reason"],
            blocks=[BlockOut.model_validate({**one, "remedy": remedy(one)}) for one in reasons],
            policies_evaluated=len(policies),
            policy_id=telling["id"],
            policy_name=telling["name"],
            policies=[GatePolicyOut.model_validate(one) for one in policies],
            signature_verified=result["signatureVerified"],
            allow_list_entry_id=inputs["allowListEntry"],
            requested_by=inputs["requestedBy"],
        )


def _mendable(reason: dict[str, Any], approvers: Mapping[str, Sequence[Approver]]) -> dict[str, Any]:
    lacks_approval = reason["code"] in {ReasonCode.APPROVAL_MISSING, ReasonCode.APPROVAL_REJECTED}
    if not lacks_approval or reason["trailId"] not in approvers:
        return reason
    return {**reason, "approvers": [ApproverOut.model_validate(one) for one in approvers[reason["trailId"]]]}


def _hidden(reason: dict[str, Any]) -> dict[str, Any]:
    """Return a reason as it may be told to a caller who may not read the flow that it is about."""
    hidden = ("attestationType", "attestationName", "attestationId", "flowId", "trailId", "approvers")
    code = ReasonCode.OUT_OF_SCOPE.value
    return {**reason, **dict.fromkeys(hidden), "code": code, "message": _OUT_OF_SCOPE}


class GateResultsQuery(EitherQuery):
    """Filters of decisions. A decision must match all of them. `limit` is the number of decisions in an array."""

    environment: Annotated[
        Short | None,
        Field(
            validation_alias=AliasChoices("environment", "environmentId"),
            description="The name of the environment, or its id (`environmentId`), also if it was deleted since",
        ),
    ] = None
    flow_id: UUID | None = None
    artifact_sha256: Annotated[
        Short | None, Field(validation_alias=AliasChoices("artifactSha256", "sha256Digest", "artifactDigest"))
    ] = None
    decision: GateOutcome | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_SIZE)] = DEFAULT_LIMIT

    def window(self, *, descending: bool = False) -> Window:
        """Return the requested part of the list; of an array, `limit` rows."""
        asked = super().window(descending=descending)
        return asked if self.paged else replace(asked, size=self.limit)

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filters, as keyword arguments of the query, without the environment."""
        return {
            "outcome": self.decision and self.decision.value,
            "flow_id": self.flow_id,
            "digest": self.artifact_sha256,
        }
