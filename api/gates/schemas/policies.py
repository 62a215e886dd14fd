"""Request and response models of policies of both kinds, and of what they are attached to."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from pydantic import AliasChoices, Field, model_validator

from api.http.calls import Call
from api.http.paging import EitherQuery
from api.http.texts import Flag, Long, Name, OrBlank, Short
from api.http.wire import Instant, WireIn, WireModel, shows
from domain.errors import Invalid
from domain.gates.policies import (
    MAX_BUNDLES,
    MAX_TYPES,
    Attachment,
    NewAttachment,
    NewPolicy,
    Policy,
    PolicyKind,
    PolicySettings,
)

YAML = """\
artifacts:
  provenance:
    required: true
    exceptions:
      - if: matches(artifact.name, "registry.example.com/base/.*")
  attestations:
    - {type: junit}
    - {name: pen-test, type: custom:pen-test, if: flow.tags.tier == "gold"}
"""

_Types = Annotated[list[Name], Field(max_length=MAX_TYPES, description="Types of attestations that must have PASSED")]
_Bundles = Annotated[
    list[Name],
    Field(max_length=MAX_BUNDLES, description="Bundles of OPA whose active versions must allow the artifact"),
]
_IGNORED = frozenset({"policyType", "threshold"})
"""What OpenFactstore's pages send for a policy, and what never had a meaning."""
_OF_ANSWERS = frozenset({"id", "orgSlug", "version", "createdAt", "updatedAt"})
"""What an answer shows beside the settings: a change may be an answer that was read and edited."""

_SETTINGS = {
    "name": "name",
    "description": "description",
    "is_active": "is_active",
    "enforce_provenance": "enforce_provenance",
    "require_verified_provenance": "verify_provenance",
    "enforce_approvals": "enforce_approvals",
    "enforce_trail_compliance": "enforce_trail_compliance",
    "require_signature": "require_signature",
    "block_on_failed_scan": "block_failed_scans",
    "required_attestation_types": "required_types",
    "opa_bundles": "opa_bundles",
    "policy_yaml": "yaml",
}
"""The settings of a policy by the names of their fields."""


class _PolicyBody(WireIn):
    """What a policy demands.

    An unknown name is refused: it may be a misspelt demand, without which the policy would let more through.
    `requiredAttestations`, `requireApproval` and `yaml` are other names of `requiredAttestationTypes`,
    `enforceApprovals` and `policyYaml`.
    """

    model_config = {"extra": "forbid"}
    ignored: ClassVar[frozenset[str]] = _IGNORED

    name: Name | None = None
    description: Long | None = None
    is_active: Annotated[Flag | None, Field(description="false: it applies to nothing")] = None
    enforce_provenance: Annotated[Flag | None, Field(description="Provenance must be recorded")] = None
    require_verified_provenance: Annotated[
        Flag | None, Field(description="Provenance must be recorded and signed by a registered key")
    ] = None
    enforce_approvals: Annotated[
        Flag | None,
        Field(
            validation_alias=AliasChoices("enforceApprovals", "requireApproval", "requireApprovals"),
            description="The deployment must be approved",
        ),
    ] = None
    enforce_trail_compliance: Annotated[Flag | None, Field(description="The trail must be COMPLIANT")] = None
    require_signature: Annotated[
        Flag | None, Field(description="A registered key must have signed the provenance of the artifact")
    ] = None
    block_on_failed_scan: Annotated[
        Flag | None, Field(description="No security scan may have breached its thresholds")
    ] = None
    required_attestation_types: Annotated[
        _Types | None,
        Field(validation_alias=AliasChoices("requiredAttestationTypes", "requiredAttestations")),
    ] = None
    opa_bundles: _Bundles | None = None
    policy_yaml: Annotated[
        str | None,
        Field(
            validation_alias=AliasChoices("policyYaml", "yaml"),
            description="A policy file of at most 64 KiB, whose rules count beside the other fields",
        ),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _without_ignored(cls, data: Any) -> Any:
        return {key: data[key] for key in data if key not in cls.ignored} if isinstance(data, Mapping) else data

    def settings(self) -> dict[str, Any]:
        """Return the settings that are given."""
        given = {column: getattr(self, name) for name, column in _SETTINGS.items() if name in self.model_fields_set}
        kept = {column: value for column, value in given.items() if value is not None}
        if "yaml" in given:
            kept["yaml"] = given["yaml"] if (given["yaml"] or "").strip() else None
        for name in ("required_types", "opa_bundles"):
            if name in kept:
                kept[name] = tuple(dict.fromkeys(kept[name]))
        return kept


class PolicyIn(_PolicyBody):
    """A new policy, to be attached to environments and flows. With `flowId` it is attached to that flow at once."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {"name": "production", "enforceProvenance": True, "requiredAttestationTypes": ["junit"]},
                {"name": "gold", "policyYaml": YAML},
            ]
        }
    }

    name: Name
    flow_id: OrBlank[UUID] = None
    org_slug: OrBlank[Short] = None

    def to_command(self) -> NewPolicy:
        """Return the input of the command that creates it."""
        return NewPolicy(PolicyKind.ATTACHABLE, PolicySettings(**self.settings()))


class PolicyChangeIn(_PolicyBody):
    """Changes to a policy. An absent field keeps its value, and so does null, but null removes the policy file.

    It may be an answer that was read and edited: what else that shows (`id`, `version`, …) is passed over.
    """

    model_config = {"json_schema_extra": {"examples": [{"enforceTrailCompliance": True}, {"policyYaml": None}]}}
    ignored: ClassVar[frozenset[str]] = _IGNORED | _OF_ANSWERS

    def to_command(self) -> dict[str, Any]:
        """Return the input of the command."""
        return self.settings()


_EnvironmentName = Annotated[
    OrBlank[Name],
    Field(
        validation_alias=AliasChoices("environment", "targetEnvironment"),
        description="The name of the environment, instead of its id",
    ),
]


class DeploymentPolicyIn(_PolicyBody):
    """A new deployment policy: what artifacts of a flow need to be deployed to an environment, or to any if it is null.

    `targetEnvironment` is another name of `environment`.
    """

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "name": "everywhere",
                    "flowId": "0190a8c0-0000-7000-8000-000000000001",
                    "requiredAttestationTypes": ["junit", "trivy"],
                },
                {
                    "name": "production",
                    "flowId": "0190a8c0-0000-7000-8000-000000000001",
                    "environment": "production",
                    "enforceApprovals": True,
                },
            ]
        }
    }

    name: Name
    flow_id: UUID
    environment_id: OrBlank[UUID] = None
    environment: _EnvironmentName = None
    org_slug: OrBlank[Short] = None

    @property
    def environments(self) -> tuple[str, ...]:
        """How the environment is referred to."""
        return tuple(str(one) for one in (self.environment_id, self.environment) if one)

    def to_policy(self, environment_id: UUID | None) -> NewPolicy:
        """Return the input of the command."""
        settings = PolicySettings(**self.settings())
        return NewPolicy(PolicyKind.DEPLOYMENT, settings, self.flow_id, environment_id)


class DeploymentPolicyChangeIn(PolicyChangeIn):
    """Changes to a deployment policy. The flow and the environment are fixed: others than its own are refused."""

    model_config = {"json_schema_extra": {"examples": [{"isActive": False}, {"blockOnFailedScan": True}]}}

    flow_id: OrBlank[UUID] = None
    environment_id: OrBlank[UUID] = None

    def to_command(self) -> dict[str, Any]:
        """Return the input of the command."""
        fixed = {"flow_id": self.flow_id, "environment_id": self.environment_id}
        return {**self.settings(), **{name: value for name, value in fixed.items() if value is not None}}


class _PolicyOut(WireModel):
    id: UUID
    name: str
    description: str
    is_active: bool
    enforce_provenance: bool
    require_verified_provenance: bool = shows("verify_provenance")
    enforce_approvals: bool
    enforce_trail_compliance: bool
    require_signature: bool
    block_on_failed_scan: bool = shows("block_failed_scans")
    required_attestation_types: list[str] = shows("required_types")
    opa_bundles: list[str]
    policy_yaml: str | None = shows("yaml")
    org_slug: str
    version: int
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, policy: Policy, call: Call) -> Self:
        """Return the policy with its settings and the slug of its organisation."""
        own = {name: getattr(policy, name) for name in ("id", "version", "created_at", "updated_at")}
        return cls.filled(policy.settings, **own, **cls._further(policy), org_slug=call.tenant.org_slug)

    @classmethod
    def _further(cls, _policy: Policy) -> Mapping[str, Any]:
        return {}


class PolicyOut(_PolicyOut):
    """A policy. Its ETag is its version. It applies to what it is attached to."""


class DeploymentPolicyOut(_PolicyOut):
    """A deployment policy. Its ETag is its version. It applies to its flow, in its environment or in all of them."""

    flow_id: UUID
    environment_id: UUID | None

    @classmethod
    def _further(cls, policy: Policy) -> Mapping[str, Any]:
        return {"flow_id": policy.flow_id, "environment_id": policy.environment_id}


class PoliciesQuery(EitherQuery):
    """Filters of policies."""

    name: Annotated[Short | None, Field(description="The exact name")] = None

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filters, as keyword arguments of the query."""
        return {"name": self.name}


class DeploymentPoliciesQuery(PoliciesQuery):
    """Filters of deployment policies. A policy must match all of them."""

    flow_id: UUID | None = None
    environment_id: UUID | None = None

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filters, as keyword arguments of the query."""
        return {**super().to_filters(), "flow_id": self.flow_id, "environment_id": self.environment_id}


class AttachmentIn(WireIn):
    """A policy to attach: to an environment, which is named or given by its id, or to a flow."""

    model_config = {
        "extra": "forbid",
        "json_schema_extra": {
            "examples": [
                {
                    "policyId": "0190a8c0-0000-7000-8000-000000000002",
                    "flowId": "0190a8c0-0000-7000-8000-000000000001",
                },
                {"policyId": "0190a8c0-0000-7000-8000-000000000002", "environment": "production"},
            ]
        },
    }

    policy_id: UUID
    environment_id: OrBlank[UUID] = None
    environment: _EnvironmentName = None
    flow_id: OrBlank[UUID] = None

    @property
    def environments(self) -> tuple[str, ...]:
        """How the environment is referred to. Raises Invalid unless just one thing is named."""
        found = tuple(str(one) for one in (self.environment_id, self.environment) if one)
        if bool(found) == bool(self.flow_id):
            raise Invalid.of("environmentId", "give either environmentId or flowId")
        return found

    def to_attachment(self, environment_id: UUID | None) -> NewAttachment:
        """Return the input of the command."""
        return NewAttachment(self.policy_id, environment_id, self.flow_id)


class AttachmentOut(WireModel):
    """A policy that is attached to an environment or to a flow."""

    id: UUID
    policy_id: UUID
    environment_id: UUID | None
    flow_id: UUID | None
    created_at: Instant

    @classmethod
    def of(cls, attachment: Attachment, _call: Call) -> Self:
        """Return the attachment."""
        return cls.filled(attachment)


class AttachmentsQuery(EitherQuery):
    """Filters of attachments. An attachment must match all of them."""

    policy_id: UUID | None = None
    environment_id: UUID | None = None
    flow_id: UUID | None = None

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filters, as keyword arguments of the query."""
        return {"policy_id": self.policy_id, "environment_id": self.environment_id, "flow_id": self.flow_id}
