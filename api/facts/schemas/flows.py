"""Request and response models of flows."""

from collections.abc import Mapping
from typing import Annotated, Any, Self, cast
from uuid import UUID

from pydantic import Field, model_validator

from api.http.calls import Call
from api.http.paging import ListQuery
from api.http.texts import Flag, Long, Name, Short
from api.http.wire import Instant, WireIn, WireModel, shows
from domain.facts.flows import Flow, FlowChange, NewFlow, Visibility
from domain.facts.requirements import Template
from domain.facts.templates import template_document

MAX_TYPES = 200

Names = Annotated[list[Name], Field(max_length=MAX_TYPES)]
TemplateText = Annotated[str, Field(description="A template in YAML, of at most 64 KiB")]

_CHANGEABLE = (
    "name",
    "description",
    "required_types",
    "tags",
    "requires_approval",
    "required_approver_roles",
    "visibility",
)
_TEMPLATE = """\
trail:
  attestations:
    - {name: unit-tests, type: junit}
  artifacts:
    - name: payments-api
      attestations:
        - {name: scan, type: snyk, if: 'flow.tags.tier == "gold"'}
"""


class _RequiredTypes(WireIn):
    """The list of required types: `requiredAttestations` is an alternative name for `requiredAttestationTypes`."""

    required_attestation_types: Names | None = None
    required_attestations: Names | None = None

    @model_validator(mode="after")
    def _one_list(self) -> "_RequiredTypes":
        first, second = self.required_attestation_types, self.required_attestations
        if first is not None and second is not None and first != second:
            raise ValueError("requiredAttestations and requiredAttestationTypes differ; give one of them")
        return self

    @property
    def required_types(self) -> list[str] | None:
        """The list under either name, without duplicates; None if neither is given."""
        given = (
            self.required_attestations if self.required_attestation_types is None else self.required_attestation_types
        )
        return None if given is None else list(dict.fromkeys(given))


class FlowIn(_RequiredTypes):
    """A new flow. `requiredAttestations` is an alternative name for `requiredAttestationTypes`.

    A template replaces the list of types. A malformed template is rejected.
    """

    model_config = {
        "json_schema_extra": {
            "examples": [
                {"name": "payments-api", "requiredAttestations": ["BUILD", "TEST"], "tags": {"team": "payments"}},
                {"name": "payments-web", "templateYaml": _TEMPLATE, "tags": {"tier": "gold"}},
            ]
        }
    }

    name: Name
    description: Long = ""
    tags: dict[str, str] = {}
    org_slug: Short | None = None
    template_yaml: TemplateText | None = None
    requires_approval: Flag = False
    required_approver_roles: Names = []
    visibility: Visibility = "PRIVATE"

    def to_command(self, template: Template | None) -> NewFlow:
        """Return the input of the command."""
        return NewFlow(
            name=self.name,
            description=self.description,
            required_types=self.required_types or [],
            tags=self.tags,
            requires_approval=self.requires_approval,
            required_approver_roles=self.required_approver_roles,
            visibility=self.visibility,
            template=template,
        )


class FlowChangeIn(_RequiredTypes):
    """Changes to a flow. An absent field keeps its value, and so does null, except that it removes the template."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {"description": "Ships the payments", "tags": {"team": "payments", "tier": "gold"}},
                {"templateYaml": _TEMPLATE},
                {"templateYaml": None},
            ]
        }
    }

    name: Name | None = None
    description: Long | None = None
    tags: dict[str, str] | None = None
    org_slug: Short | None = None
    template_yaml: TemplateText | None = None
    requires_approval: Flag | None = None
    required_approver_roles: Names | None = None
    visibility: Visibility | None = None

    def to_command(self, template: Template | None) -> FlowChange:
        """Return the input of the command."""
        given = {name: value for name in _CHANGEABLE if (value := getattr(self, name)) is not None}
        if "template_yaml" in self.model_fields_set:
            given["template"] = template
        return cast("FlowChange", given)


class FlowOut(WireModel):
    """A flow. Its ETag is its version."""

    id: UUID
    name: str
    description: str
    required_attestation_types: list[str] = shows("required_types")
    required_attestations: list[str] = shows("required_types")
    tags: dict[str, str]
    org_slug: str
    template_yaml: str | None = shows("template_text")
    requires_approval: bool
    required_approver_roles: list[str]
    visibility: Visibility
    version: int
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, flow: Flow, call: Call) -> Self:
        """Return the flow with the slug of its organisation."""
        return cls.filled(flow, org_slug=call.tenant.org_slug)


class TemplateOut(WireModel):
    """A flow's template for clients that ask for JSON. Both forms are null for a flow without a template."""

    flow_id: UUID = shows("id")
    template_yaml: str | None = shows("template_text")
    effective_template: dict[str, Any] | None

    @classmethod
    def of(cls, flow: Flow, _call: Call) -> Self:
        """Return the text as it was sent, and the same parsed."""
        text = flow.template_text
        return cls.filled(flow, effective_template=None if text is None else template_document(text))


class FlowsQuery(ListQuery):
    """Filters of flows."""

    name: Annotated[Short | None, Field(description="The exact name")] = None

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filters, as keyword arguments of the query."""
        return {"name": self.name}
