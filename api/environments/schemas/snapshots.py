"""Request and response models of snapshots and of the difference between two."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import AliasChoices, Field, model_validator

from api.http.calls import Call
from api.http.digests import Sha256
from api.http.texts import Name, Short
from api.http.wire import Instant, WireIn, WireModel, field_keys
from domain.environments.artifacts import Diff, Difference, Instances, Running, counted
from domain.environments.compliance import ComplianceState
from domain.environments.snapshots import MAX_ARTIFACTS, Report, Snapshot
from domain.errors import Invalid, TooLarge
from storage.environments.queries.compliance import Compliance

MAX_COUNT = 1_000_000
MAX_INSTANCES = 2**31 - 1
MAX_INDEX = 2**31 - 1


class RunningIn(WireModel):
    """Instances of an artifact. Lines of the same digest, name and tag add up.

    A report has hundreds of them every minute: they are checked without the leniency of `WireIn`, which takes longer
    than all else, except that null means absent here, too.
    """

    artifact_sha256: Annotated[Sha256, Field(validation_alias=AliasChoices("artifactSha256", "sha256", "sha256Digest"))]
    artifact_name: Annotated[Name, Field(validation_alias=AliasChoices("artifactName", "name"))]
    artifact_tag: Annotated[Short | None, Field(validation_alias=AliasChoices("artifactTag", "tag"))] = None
    instance_count: Annotated[int | None, Field(ge=1, le=MAX_COUNT)] = 1


class SnapshotIn(WireIn):
    """What runs now. An empty list says that nothing runs.

    `recordedBy` is returned as claimed; the audit event names the authenticated caller.
    """

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "recordedBy": "cluster-reporter",
                    "artifacts": [
                        {
                            "artifactSha256": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                            "artifactName": "registry.example.com/payments-api",
                            "artifactTag": "1.4.2",
                            "instanceCount": 3,
                        }
                    ],
                }
            ]
        }
    }

    recorded_by: Short | None = None
    scope_label: Annotated[Short | None, Field(validation_alias=AliasChoices("scopeLabel", "scope"))] = None
    artifacts: list[RunningIn] = []

    @model_validator(mode="before")
    @classmethod
    def _names_artifacts(cls, data: Any) -> Any:
        """Refuse a body in which the name of `artifacts` seems misspelt: it would say that nothing runs any more."""
        if isinstance(data, Mapping) and "artifacts" not in data:
            known = {key for name in cls.model_fields for key in field_keys(cls, name)}
            if unknown := sorted(map(str, data.keys() - known)):
                raise ValueError(f"artifacts is not given, but {unknown[0]}; give an empty list if nothing runs")
        return data

    def to_command(self, environment_id: UUID, *, only_changes: bool) -> Report:
        """Return the input of the command. Raises TooLarge for too many different artifacts, Invalid for instances."""
        lines = (
            (Running(one.artifact_name, one.artifact_sha256, one.artifact_tag), one.instance_count or 1)
            for one in self.artifacts
        )
        instances = counted(lines)
        if len(instances) > MAX_ARTIFACTS:
            raise TooLarge(f"artifacts: {len(instances)} different ones; a snapshot takes {MAX_ARTIFACTS}")
        if max(instances.values(), default=0) > MAX_INSTANCES:
            raise Invalid.of("artifacts", f"lines of one artifact add up to more than {MAX_INSTANCES} instances")
        return Report(environment_id, instances, self.recorded_by, self.scope_label, only_changes)


class RunningOut(WireModel):
    """Instances of an artifact."""

    artifact_sha256: str
    artifact_name: str
    artifact_tag: str | None
    instance_count: int


class SnapshotOut(WireModel):
    """What ran when this was reported.

    `changes` is the number of artifacts that differ from the snapshot before; an update counts as two, the old and the
    new one.
    """

    id: UUID
    environment_id: UUID
    snapshot_index: int
    recorded_at: Instant
    recorded_by: str
    scope_label: str | None
    changes: int
    artifacts: list[RunningOut]

    @classmethod
    def showing(cls, snapshot: Snapshot, instances: Instances) -> Self:
        """Return the snapshot with what ran in it, by name."""
        return cls._with(snapshot, _lines(instances))

    @classmethod
    def _with(cls, snapshot: Snapshot, lines: Iterable[Mapping[str, Any]]) -> Self:
        return cls.filled(
            snapshot,
            snapshot_index=snapshot.n,
            recorded_at=snapshot.created_at,
            recorded_by=snapshot.reporter,
            changes=snapshot.changed,
            artifacts=list(lines),
        )


def _lines(instances: Instances) -> Iterator[Mapping[str, Any]]:
    """Yield what ran as fields, which pydantic turns into models faster than Python does."""
    for (name, digest, tag), count in sorted(instances.items(), key=_by_name):
        yield {"artifact_sha256": digest, "artifact_name": name, "artifact_tag": tag, "instance_count": count}


def _by_name(one: tuple[Running, int]) -> tuple[str, str]:
    return one[0][:2]


class JudgedRunningOut(RunningOut):
    """Instances of an artifact, with its compliance as it is now."""

    compliance_state: ComplianceState


class JudgedSnapshotOut(SnapshotOut):
    """What ran when this was reported. `complianceState` is what is known of each artifact now, not what was then."""

    artifacts: list[JudgedRunningOut]  # type: ignore[assignment]  # each is a RunningOut

    @classmethod
    def judged(cls, snapshot: Snapshot, instances: Instances, compliance: Compliance) -> Self:
        """Return the snapshot with the state of each artifact."""
        place = snapshot.environment_id
        return cls._with(
            snapshot,
            (
                {
                    **line,
                    "compliance_state": compliance.of(place, (line["artifact_name"], line["artifact_sha256"])).state,
                }
                for line in _lines(instances)
            ),
        )


class LatestQuery(WireIn):
    """The time whose snapshot is wanted."""

    at: Annotated[Instant | None, Field(description="Return the snapshot that was the latest one at this time")] = None


class DiffQuery(WireIn):
    """The two snapshots to compare. `snapshotA` and `snapshotB` are other names of `from` and `to`."""

    from_: Annotated[int, Field(ge=1, le=MAX_INDEX, examples=[1], validation_alias=AliasChoices("from", "snapshotA"))]
    to: Annotated[int, Field(ge=1, le=MAX_INDEX, examples=[2], validation_alias=AliasChoices("to", "snapshotB"))]
    to_environment_id: Annotated[UUID | None, Field(description="The environment of `to`, if it is another one")] = None


class DifferenceOut(WireModel):
    """What differs for one name. A side without an instance has null, and 0 as its count."""

    artifact_name: str
    artifact_tag: str | None
    sha256_from: str | None
    sha256_to: str | None
    tag_from: str | None
    tag_to: str | None
    instance_count_from: int
    instance_count_to: int

    @classmethod
    def of(cls, difference: Difference, _call: Call | None = None) -> Self:
        """Return the difference; `artifactTag` is the newest one."""
        before, after = difference.before, difference.after
        return cls(
            artifact_name=difference.name,
            artifact_tag=difference.newest.tag,
            sha256_from=before.digest if before else None,
            sha256_to=after.digest if after else None,
            tag_from=before.tag if before else None,
            tag_to=after.tag if after else None,
            instance_count_from=difference.count_before,
            instance_count_to=difference.count_after,
        )


class DiffOut(WireModel):
    """What changed between two snapshots, by name and digest; other tags and counts alone are no change."""

    environment_id: UUID
    to_environment_id: UUID
    from_snapshot_index: int
    to_snapshot_index: int
    added: list[DifferenceOut]
    removed: list[DifferenceOut]
    updated: list[DifferenceOut]
    unchanged: list[DifferenceOut]


def differences(diff: Diff) -> dict[str, list[DifferenceOut]]:
    """Return the parts of a difference by their names."""
    parts = {"added": diff.added, "removed": diff.removed, "updated": diff.updated, "unchanged": diff.unchanged}
    return {name: [DifferenceOut.of(one) for one in found] for name, found in parts.items()}
