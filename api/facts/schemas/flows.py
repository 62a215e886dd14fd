"""Flows on the wire (facts.md 4)."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, model_validator

from api.facts.schemas.texts import Flag, Long, Name, Short, refuse_template
from api.wire import Instant, WireIn, WireModel
from domain.facts.flows import Flow, NewFlow, Visibility

MAX_TYPES = 200


class FlowIn(WireIn):
    """A flow to be defined. `requiredAttestations` is the other name of `requiredAttestationTypes` (C01)."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {"name": "payments-api", "requiredAttestations": ["BUILD", "TEST"], "tags": {"team": "payments"}}
            ]
        }
    }

    name: Name
    description: Long = ""
    required_attestation_types: Annotated[list[Name], Field(max_length=MAX_TYPES)] | None = None
    required_attestations: Annotated[list[Name], Field(max_length=MAX_TYPES)] | None = None
    tags: dict[str, str] = {}
    org_slug: Short | None = None
    template_yaml: str | None = None
    requires_approval: Flag = False
    required_approver_roles: Annotated[list[Name], Field(max_length=MAX_TYPES)] = []
    visibility: Visibility = "PRIVATE"

    @model_validator(mode="after")
    def _one_list(self) -> "FlowIn":
        first, second = self.required_attestation_types, self.required_attestations
        if first is not None and second is not None and first != second:
            raise ValueError("requiredAttestations and requiredAttestationTypes differ; give one of them")
        return self

    def flow(self) -> NewFlow:
        """Raises Rejected for a template: what is not evaluated yet must not be stored as if it were."""
        refuse_template(self.template_yaml)
        types = self.required_attestation_types or self.required_attestations or []
        return NewFlow(
            name=self.name,
            description=self.description,
            required_types=list(dict.fromkeys(types)),
            tags=self.tags,
            requires_approval=self.requires_approval,
            required_approver_roles=self.required_approver_roles,
            visibility=self.visibility,
        )


class FlowOut(WireModel):
    """A flow."""

    id: UUID
    name: str
    description: str
    required_attestation_types: list[str]
    required_attestations: list[str]
    tags: dict[str, str]
    org_slug: str
    template_yaml: str | None
    requires_approval: bool
    required_approver_roles: list[str]
    visibility: Visibility
    version: int
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, flow: Flow, org_slug: str) -> "FlowOut":
        """A flow of the caller's organisation."""
        fields: dict[str, Any] = {name: getattr(flow, name) for name in cls.model_fields if hasattr(flow, name)}
        types = {"required_attestation_types": flow.required_types, "required_attestations": flow.required_types}
        return cls(**fields, **types, org_slug=org_slug, template_yaml=None)
