"""Request and response models of OPA bundles and decisions."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AliasChoices, BaseModel, Field, JsonValue, StringConstraints

from api.http.calls import Call, Upload
from api.http.digests import Sha256
from api.http.paging import ListQuery
from api.http.texts import Name, Short
from api.http.wire import Instant, WireIn, WireModel, shows
from domain.gates.opa import Bundle, BundleStatus, OpaDecision
from domain.gates.rego import Module, Source, checked_source

MODULE = "policy.rego"
"""The path of the module of a bundle that was sent as text."""
FIRST_VERSION = "1.0.0"

_REGO = """package release

import rego.v1

default allow := false

allow if input.approvalStatus == "APPROVED"

deny contains msg if {
    some attestation in input.attestations
    attestation.status == "FAILED"
    msg := sprintf("%s failed", [attestation.type])
}
"""


class OpaBundleIn(WireIn):
    """A bundle of one module, with a data document for it if it needs one, as `data`."""

    model_config = {
        "json_schema_extra": {"examples": [{"name": "release", "version": "1.0.0", "regoContent": _REGO}]},
    }

    name: Name
    version: Name
    rego_content: Annotated[str, StringConstraints(min_length=1)]
    data: dict[str, JsonValue] = Field(default_factory=dict)
    org_slug: Short | None = None

    def to_source(self) -> Source:
        """Return the content. Raises Invalid, TooLarge."""
        return checked_source([Module(MODULE, self.rego_content)], self.data)


class OpaBundleForm(BaseModel):
    """A module as a `.rego` file, or modules and data documents as a zip or tar.gz archive.

    The name is that of the file without its endings unless it is given.
    """

    file: Upload
    name: Name | None = None
    version: Name = FIRST_VERSION
    org_slug: Annotated[Short | None, Field(validation_alias="orgSlug")] = None

    @property
    def bundle_name(self) -> str:
        """The given name, else the file's."""
        return self.name or self.file.file_name.partition(".")[0] or "policy"


class ModuleOut(WireModel):
    """A module of a bundle."""

    path: str
    text: str


class OpaBundleOut(WireModel):
    """A bundle of Rego modules.

    `regoContent` is the text of all modules in the order of their paths; `modules` has them one by one. `rules` are
    those that decide. `revision` counts the changes of the bundle and is its ETag; `version` is what its sender named.
    """

    id: UUID
    name: str
    version: str = shows("bundle_version")
    rego_content: str
    modules: list[ModuleOut]
    data: dict[str, Any]
    rules: list[str]
    sha256: str
    status: BundleStatus
    org_slug: str
    revision: int
    activated_at: Instant | None
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, record: Bundle, call: Call) -> Self:
        """Return the bundle with the text of its modules."""
        modules = record.source.modules
        return cls.filled(
            record,
            rego_content="\n".join(module.text for module in modules),
            modules=modules,
            data=record.source.data,
            rules=[str(rule) for rule in record.rules],
            org_slug=call.tenant.org_slug,
            revision=record.version,
        )


class OpaBundleQuery(ListQuery):
    """Filters of bundles."""

    name: Short | None = None
    active: Annotated[bool | None, Field(description="true: those that decide; false: the others")] = None


class OpaEvaluationIn(WireIn):
    """What to evaluate, and with which bundle: the active one named `bundle`, else the one that was activated last.

    With `trailId` or `artifactDigest` the input is built from stored facts; then `environment` is the name of an
    environment. Otherwise the input consists of the other fields, and of what `input` has besides.
    """

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "bundle": "release",
                    "trailId": "01890a5d-ac96-774b-bcce-b302099a8057",
                },
                {
                    "artifactName": "payment-service",
                    "artifactVersion": "1.4.2",
                    "environment": "production",
                    "attestations": [{"type": "trivy", "status": "PASSED"}],
                    "approvalStatus": "APPROVED",
                },
            ]
        }
    }

    bundle: Name | None = None
    trail_id: UUID | None = None
    artifact_digest: Annotated[
        Sha256 | None, Field(validation_alias=AliasChoices("artifactDigest", "artifactSha256"))
    ] = None
    artifact_name: Name | None = None
    artifact_version: Short | None = None
    environment: Name | None = None
    attestations: list[dict[str, JsonValue]] | None = None
    approval_status: Short | None = None
    input: dict[str, JsonValue] | None = None
    org_slug: Short | None = None

    @property
    def of_stored(self) -> bool:
        """Whether the input is built from stored facts."""
        return self.trail_id is not None or self.artifact_digest is not None

    def stated(self) -> Mapping[str, Any]:
        """Return the facts that the request states itself, by their names in the input."""
        return {
            "artifactName": self.artifact_name,
            "artifactVersion": self.artifact_version,
            "attestations": self.attestations,
            "approvalStatus": self.approval_status,
            **(self.input or {}),
        }


class OpaDecisionOut(WireModel):
    """What a bundle decided. `inputJson` is its input in canonical JSON, `inputDigest` the SHA-256 of that."""

    id: UUID
    bundle_id: UUID
    bundle_name: str
    bundle_version: str
    bundle_sha256: str
    input_json: str = shows("input")
    input_digest: str
    result_allow: bool = shows("allow")
    deny_reasons: Sequence[str] = shows("reasons")
    org_slug: str
    evaluated_at: Instant = shows("created_at")

    @classmethod
    def of(cls, record: OpaDecision, call: Call) -> Self:
        """Return the decision with the organisation's slug."""
        return cls.filled(record, org_slug=call.tenant.org_slug)


class OpaDecisionQuery(ListQuery):
    """Filters of decisions."""

    bundle_id: UUID | None = None
    allow: bool | None = None
