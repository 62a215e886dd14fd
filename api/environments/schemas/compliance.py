"""Request and response models of the compliance of environments and of what runs there."""

from collections.abc import Mapping
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field

from api.http.calls import Call
from api.http.paging import ListQuery
from api.http.wire import Instant, WireModel
from domain.environments.compliance import ComplianceState, EnvironmentCompliance, ReasonCode
from storage.environments.queries.compliance import RunningArtifact
from storage.paging import Page


class ComplianceQuery(ListQuery):
    """Filters of the artifacts; the state of the environment and its counts are about all of them."""

    state: ComplianceState | None = None
    reason: Annotated[
        ReasonCode | None,
        Field(description="Artifacts with such a reason; NOT_REPORTED: those that no trail has reported"),
    ] = None

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filters, as keyword arguments of the query."""
        return {"state": self.state, "reason": self.reason}


class SummaryReasonOut(WireModel):
    """Why an environment is not compliant."""

    code: ReasonCode
    message: str


class ReasonOut(SummaryReasonOut):
    """Why an artifact is not compliant, with the attestation that decides and the trail that it is missing on.

    `policyId` is the policy that demands what is missing, null if the flow does.
    """

    attestation_type: str | None
    attestation_name: str | None
    attestation_id: UUID | None
    flow_id: UUID | None
    trail_id: UUID | None
    policy_id: UUID | None


class ArtifactComplianceOut(WireModel):
    """A running artifact. `flowId` and `trailId` are those that decide; null if there are none, or none is readable.

    It has at most 20 reasons, of flows and of policies.
    """

    artifact_sha256: str
    artifact_name: str
    artifact_tag: str | None
    since: Instant
    compliance_state: ComplianceState
    flow_id: UUID | None
    trail_id: UUID | None
    reasons: list[ReasonOut]

    @classmethod
    def of(cls, running: RunningArtifact, call: Call) -> Self:
        """Return the artifact with its state."""
        deployment, compliance = running.deployment, running.compliance
        return cls(
            artifact_sha256=deployment.digest,
            artifact_name=deployment.name,
            artifact_tag=deployment.tag,
            since=deployment.deployed_at,
            compliance_state=compliance.state,
            flow_id=compliance.flow_id,
            trail_id=compliance.trail_id,
            reasons=[ReasonOut.of(reason, call) for reason in compliance.reasons],
        )


class AttachedPolicyOut(WireModel):
    """A policy that is attached to the environment, in the version by which it was judged."""

    id: UUID
    name: str
    version: int


class EnvironmentComplianceOut(WireModel):
    """The compliance of an environment: the worst state of what runs there, UNKNOWN if nothing does.

    `policies` are those that are attached to it and active.
    """

    environment_id: UUID
    compliance_state: ComplianceState
    compliant: int
    non_compliant: int
    unknown: int
    artifacts: list[ArtifactComplianceOut]
    reasons: list[SummaryReasonOut]
    policies: list[AttachedPolicyOut]

    @classmethod
    def showing(cls, compliance: EnvironmentCompliance, page: Page[RunningArtifact], call: Call) -> Self:
        """Return the environment's state with one page of its artifacts."""
        return cls(
            environment_id=compliance.environment_id,
            compliance_state=compliance.state,
            compliant=compliance.counts.get(ComplianceState.COMPLIANT, 0),
            non_compliant=compliance.counts.get(ComplianceState.NON_COMPLIANT, 0),
            unknown=compliance.counts.get(ComplianceState.UNKNOWN, 0),
            artifacts=[ArtifactComplianceOut.of(one, call) for one in page.items],
            reasons=[SummaryReasonOut.of(reason, call) for reason in compliance.reasons],
            policies=[AttachedPolicyOut.of(policy, call) for policy in compliance.policies],
        )
