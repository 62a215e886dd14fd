"""Request and response models of logical environments and their merged snapshots."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Self, cast
from uuid import UUID

from pydantic import BeforeValidator, Field

from api.environments.schemas.environments import EnvironmentTypeName
from api.http.texts import Long, Name
from api.http.wire import ChangeIn, Instant, WireIn, WireModel, shows
from domain.environments.artifacts import Instances
from domain.environments.compliance import ComplianceState
from domain.environments.logical_environments import (
    MAX_MEMBERS,
    ArtifactGroup,
    LogicalEnvironmentChange,
    MergedSnapshot,
    NewLogicalEnvironment,
)

_MemberIds = Annotated[
    list[UUID], Field(max_length=MAX_MEMBERS, description="Environments of either kind: physical or logical")
]


class LogicalEnvironmentIn(WireIn):
    """A new logical environment: several environments seen as one."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {"name": "production", "description": "All regions"},
                {"name": "europe", "memberIds": ["0192f0c1-2f4e-7c55-9d3e-0123456789ab"]},
            ]
        }
    }

    name: Name
    description: Long = ""
    member_ids: _MemberIds = []

    def to_command(self) -> NewLogicalEnvironment:
        """Return the input of the command."""
        return NewLogicalEnvironment(self.name, self.description, frozenset(self.member_ids))


class LogicalEnvironmentChangeIn(ChangeIn):
    """Changes to a logical environment. An absent field keeps its value, and so does null.

    `memberIds` replaces the members: an empty list removes all. Those that stay keep their `addedAt`.
    """

    model_config = {"json_schema_extra": {"examples": [{"description": "All regions"}, {"memberIds": []}]}}

    name: Name | None = None
    description: Long | None = None
    member_ids: _MemberIds | None = None

    def to_command(self) -> LogicalEnvironmentChange:
        """Return the input of the command."""
        given: dict[str, Any] = {"name": self.name, "description": self.description}
        if self.member_ids is not None:
            given["member_ids"] = frozenset(self.member_ids)
        return cast("LogicalEnvironmentChange", {name: value for name, value in given.items() if value is not None})


_MemberType = Annotated[EnvironmentTypeName | Literal["LOGICAL"], BeforeValidator(str.upper)]


class LogicalMemberOut(WireModel):
    """A member: a physical environment, or a logical one, whose type is LOGICAL."""

    physical_env_id: UUID = shows("id")
    physical_env_name: str = shows("name")
    physical_env_type: _MemberType = shows("type")
    added_at: Instant


class LogicalEnvironmentOut(WireModel):
    """A logical environment. Its ETag is its version. Members that were deleted are left out."""

    id: UUID
    name: str
    description: str
    members: list[LogicalMemberOut]
    version: int
    created_at: Instant
    updated_at: Instant


class MergedQuery(WireIn):
    """What a merged snapshot shows."""

    merged: Annotated[bool, Field(description="Whether `mergedArtifacts` is wanted; otherwise it is null")] = True
    grouped: Annotated[bool, Field(description="Whether `groupedArtifacts` is wanted; otherwise it is null")] = False


class MemberSnapshotOut(WireModel):
    """The latest snapshot of a physical environment. Before the first one, index and time are null."""

    physical_env_id: UUID = shows("id")
    physical_env_name: str = shows("name")
    snapshot_index: int | None = shows("n")
    recorded_at: Instant | None
    artifact_count: int = shows("artifacts")
    compliance_state: ComplianceState = shows("state")


class MergedArtifactOut(WireModel):
    """Instances of an artifact in one physical environment."""

    artifact_sha256: str
    artifact_name: str
    artifact_tag: str | None
    instance_count: int
    physical_env_id: UUID
    physical_env_name: str


class GroupedArtifactOut(WireModel):
    """All instances of a digest. It shows up to 20 of the names and of the tags under which they run."""

    artifact_sha256: str = shows("digest")
    artifact_names: list[str] = shows("names")
    artifact_tags: list[str] = shows("tags")
    instance_count: int = shows("count")
    environment_count: int = shows("environments")


class MergedSnapshotOut(WireModel):
    """What runs in all physical environments of a logical one, nested ones included, each once.

    `complianceStatus` is the worst state of any of them; UNKNOWN is worse than COMPLIANT, and is that of none. If too
    much runs in all of them to be judged at once, those that are left count as UNKNOWN.
    """

    logical_env_id: UUID
    logical_env_name: str
    compliance_status: ComplianceState
    member_snapshots: list[MemberSnapshotOut]
    merged_artifacts: list[MergedArtifactOut] | None
    grouped_artifacts: list[GroupedArtifactOut] | None

    @classmethod
    def showing(
        cls, snapshot: MergedSnapshot, instances: Iterable[Instances] | None, groups: list[ArtifactGroup] | None
    ) -> Self:
        """Return the snapshot with what runs; `instances` are in the order of its places."""
        return cls(
            logical_env_id=snapshot.id,
            logical_env_name=snapshot.name,
            compliance_status=snapshot.state,
            member_snapshots=[MemberSnapshotOut.model_validate(member) for member in snapshot.members],
            merged_artifacts=None if instances is None else list(_merged(snapshot, instances)),
            grouped_artifacts=None if groups is None else [GroupedArtifactOut.model_validate(one) for one in groups],
        )


def _merged(snapshot: MergedSnapshot, instances: Iterable[Instances]) -> Iterator[MergedArtifactOut]:
    reported = [member for member in snapshot.members if member.n is not None]
    for member, running in zip(reported, instances, strict=True):
        for artifact, count in sorted(running.items(), key=lambda item: (item[0].name, item[0].digest)):
            yield MergedArtifactOut.model_construct(
                artifact_sha256=artifact.digest,
                artifact_name=artifact.name,
                artifact_tag=artifact.tag,
                instance_count=count,
                physical_env_id=member.id,
                physical_env_name=member.name,
            )
