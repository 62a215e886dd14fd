"""Request and response models of artifacts."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple, Self
from uuid import UUID

from pydantic import Field

from api.http.calls import Call
from api.http.digests import Sha256
from api.http.paging import ListQuery
from api.http.synonyms import required
from api.http.texts import Long, Name, Short, Url
from api.http.wire import Instant, WireIn, WireModel, shows
from domain.audit.events import Actor
from domain.environments.compliance import ComplianceState
from domain.facts.artifacts import ArtifactReport, ArtifactType, NewArtifact, ProvenanceStatus
from storage.environments.queries.compliance import Compliance
from storage.environments.queries.deployments import Place

MAX_ANNOTATIONS = 100


class ArtifactIn(WireIn):
    """A built artifact. `name` and `tag` are alternative names for `imageName` and `imageTag`.

    `reportedBy` is returned as claimed; the audit event names the authenticated caller.
    """

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "imageName": "payments-api",
                    "imageTag": "1.4.2",
                    "sha256Digest": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                    "registry": "registry.example.com",
                    "artifactType": "OCI",
                }
            ]
        }
    }

    image_name: Name | None = None
    name: Name | None = None
    image_tag: Short | None = None
    tag: Short | None = None
    sha256_digest: Sha256
    registry: Short | None = None
    artifact_type: ArtifactType | None = None
    git_commit: Short | None = None
    build_url: Url | None = None
    commit_url: Url | None = None
    annotations: Annotated[dict[Name, Long], Field(max_length=MAX_ANNOTATIONS)] = {}
    reported_by: Short | None = None
    org_slug: Short | None = None

    def to_command(self, trail_id: UUID, actor: Actor) -> NewArtifact:
        """Return the input of the command. Raises Invalid when name or tag is missing or its two fields differ."""
        return NewArtifact(
            trail_id=trail_id,
            name=required(self, "image_name", "name"),
            tag=required(self, "image_tag", "tag"),
            digest=self.sha256_digest,
            actor=actor,
            registry=self.registry,
            artifact_type=self.artifact_type,
            git_commit=self.git_commit,
            build_url=self.build_url,
            commit_url=self.commit_url,
            annotations=self.annotations or None,
            claimed_by=self.reported_by,
        )


class PlaceOut(WireModel):
    """An environment in which an artifact runs, under the name with which it is reported there.

    `complianceState` is that of the artifact there: by all flows, and by the policies of the environment.
    """

    environment_id: UUID
    environment_name: str
    artifact_name: str = shows("name")
    artifact_tag: str | None = shows("tag")
    since: Instant = shows("deployed_at")
    compliance_state: ComplianceState


class KnownArtifact(NamedTuple):
    """A report with what is known of its artifact beyond it."""

    report: ArtifactReport
    places: Sequence[Place]
    compliance: Compliance


class ArtifactOut(WireModel):
    """A reported artifact. `imageName` equals `name`, `imageTag` equals `tag`.

    `complianceState` sums up what all flows say about the artifact. `runningInEnvironments` has the 20 latest places;
    `GET /artifacts/{digest}/deployments?running=true` lists all.
    """

    id: UUID
    flow_id: UUID
    trail_id: UUID
    image_name: str = shows("name")
    name: str
    image_tag: str | None = shows("tag")
    tag: str | None
    sha256_digest: str = shows("digest")
    registry: str | None
    artifact_type: str | None
    git_commit: str | None
    build_url: str | None
    commit_url: str | None
    annotations: dict[str, str]
    reported_at: Instant = shows("created_at")
    reported_by: str = shows("reporter")
    org_slug: str
    provenance_status: ProvenanceStatus
    compliance_state: ComplianceState
    running_in_environments: list[PlaceOut]

    @classmethod
    def of(cls, known: KnownArtifact, call: Call) -> Self:
        """Return the artifact; without annotations the object is empty."""
        digest = known.report.digest
        return cls.filled(
            known.report,
            annotations=known.report.annotations or {},
            org_slug=call.tenant.org_slug,
            compliance_state=known.compliance.by_flows[digest].state,
            running_in_environments=[
                PlaceOut.filled(
                    place, compliance_state=known.compliance.of(place.environment_id, (place.name, digest)).state
                )
                for place in known.places
            ],
        )


class ArtifactsQuery(ListQuery):
    """The digest of the artifact, and filters of its reports."""

    sha256: Annotated[
        Short,
        Field(
            description="64 hex digits in any case, with or without `sha256:`",
            examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
        ),
    ]
    flow_id: UUID | None = None
    name: Short | None = None

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filters other than the digest, as keyword arguments of the query."""
        return {"flow_id": self.flow_id, "name": self.name}
