"""The parts of Azure DevOps' service hook events that Trailgate reads, under their original names."""

# ruff: noqa: D101 - Azure DevOps documents these names

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from integrations.deliveries import Author, Commit, DeliveryId, Id, Maybe, Payload, Shown, State, Url, VendorTime


class AzurePayload(Payload):
    model_config = ConfigDict(alias_generator=to_camel)


class Notification(AzurePayload):
    """The fields that every event has beside its `resource`."""

    event_type: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,128}$")]
    subscription_id: Maybe[Shown] = None
    created_date: VendorTime = None


class IdentifiedNotification(Notification):
    """A notification with its id, which is the same in every delivery attempt."""

    id: DeliveryId


class Identity(AzurePayload):
    """A person, a group or a service; `uniqueName` is the sign-in name."""

    display_name: Maybe[Shown] = None
    unique_name: Maybe[Shown] = None


class WebLink(AzurePayload):
    href: Maybe[Url] = None


class Links(AzurePayload):
    web: Maybe[WebLink] = None


class Named(AzurePayload):
    """A project or a release definition."""

    name: str


class Definition(Named):
    """The definition of a build, in a folder. Resource version 1.0 does not name the folder."""

    path: Maybe[str] = None


class BuildRepository(AzurePayload):
    type: Maybe[str] = None
    name: Maybe[Shown] = None


class BuildRequest(AzurePayload):
    requested_for: Maybe[Identity] = None


class TriggerInfo(AzurePayload):
    """The trigger of a build for a pull request, whose `sourceVersion` is only a temporary test merge."""

    pr_source_sha: Commit | None = Field(None, alias="pr.sourceSha")
    pr_source_branch: Maybe[Shown] = Field(None, alias="pr.sourceBranch")
    pr_number: Maybe[Shown] = Field(None, alias="pr.number")


class Build(AzurePayload):
    """A build in resource version 1.0 (`status` is the result, `sourceGetVersion` the source) or 2.0."""

    status: State | None = None
    result: State | None = None
    definition: Definition
    project: Maybe[Named] = None
    repository: Maybe[BuildRepository] = None
    source_branch: Maybe[Shown] = None
    source_version: Maybe[str] = None
    """A commit, or of other version control than git a change: `C943`, `80514123`."""
    source_get_version: Maybe[str] = None
    trigger_info: TriggerInfo | None = None
    requested_for: Maybe[Identity] = None
    requests: Maybe[tuple[BuildRequest, ...]] = None
    links: Maybe[Links] = Field(None, alias="_links")


class BuildCompleted(Notification):
    resource: Build


class PushedCommit(AzurePayload):
    commit_id: Commit
    author: Maybe[Author] = None


class RefUpdate(AzurePayload):
    name: str
    new_object_id: Commit


class GitRepository(AzurePayload):
    name: str
    project: Named


class Push(AzurePayload):
    ref_updates: list[RefUpdate]
    repository: Maybe[GitRepository] = None
    commits: Maybe[tuple[PushedCommit, ...]] = None
    pushed_by: Maybe[Identity] = None


class CodePushed(Notification):
    resource: Push


class MergeSource(AzurePayload):
    commit_id: Commit


class Reviewer(Identity):
    """A reviewer. `vote` is 10 for approved, 5 for approved with suggestions; a group (`isContainer`) repeats votes."""

    vote: int = 0
    is_container: bool = False


class PullRequest(AzurePayload):
    pull_request_id: Maybe[Id] = None
    status: State | None = None
    source_ref_name: Maybe[Shown] = None
    last_merge_source_commit: MergeSource | None = None
    repository: Maybe[GitRepository] = None
    created_by: Maybe[Identity] = None
    reviewers: Maybe[tuple[Reviewer, ...]] = None


class PullRequestChanged(Notification):
    resource: PullRequest


class RunRepository(AzurePayload):
    """A repository that a run checked out. Only GitHub repositories have `fullName`."""

    full_name: Maybe[Shown] = None


class RepositoryResource(AzurePayload):
    repository: Maybe[RunRepository] = None
    ref_name: Maybe[Shown] = None
    version: Commit | None = None


class RepositoryResources(AzurePayload):
    """Repositories by alias. A pipeline may use several; its own has the alias `self`."""

    own: RepositoryResource | None = Field(None, alias="self")


class RunResources(AzurePayload):
    repositories: RepositoryResources | None = None


class Pipeline(Named):
    """A pipeline, in a folder."""

    folder: Maybe[str] = None


class Title(AzurePayload):
    """How a stage or a job is called. A `displayName` may differ from run to run."""

    name: str
    display_name: Maybe[str] = None


class Ended(AzurePayload):
    """The state of a run, a stage or a job."""

    state: State
    result: State | None = None
    links: Maybe[Links] = Field(None, alias="_links")


class Step(Title, Ended):
    """A stage or a job."""


class RunSource(AzurePayload):
    resources: RunResources | None = None


class Run(RunSource, Ended):
    pass


class RepositoryChange(AzurePayload):
    author: Maybe[Author] = None
    version: Maybe[str] = None


class ChangedRepository(AzurePayload):
    change: Maybe[RepositoryChange] = None


class RunOfPipeline(AzurePayload):
    run: RunSource
    pipeline: Pipeline
    repositories: Maybe[tuple[ChangedRepository, ...]] = None
    requested_for: Maybe[Identity] = None


class RunState(RunOfPipeline):
    run: Run


class RunStateChanged(Notification):
    resource: RunState


class StageOfPipeline(RunOfPipeline):
    stage: Step


class StageStateChanged(Notification):
    resource: StageOfPipeline


class JobOfPipeline(RunOfPipeline):
    stage: Title
    job: Step


class JobStateChanged(Notification):
    resource: JobOfPipeline


class ArtifactVersion(AzurePayload):
    id: str | None = None


class DefinitionReference(AzurePayload):
    source_version: ArtifactVersion | None = None


class Artifact(AzurePayload):
    is_primary: bool = False
    definition_reference: DefinitionReference | None = None


class Release(AzurePayload):
    artifacts: tuple[Artifact, ...] | None = None
    release_definition: Maybe[Named] = None
    links: Maybe[Links] = Field(None, alias="_links")


class Environment(AzurePayload):
    name: str
    status: State | None = None
    release: Maybe[Release] = None
    release_definition: Maybe[Named] = None


class ReleaseDeployment(AzurePayload):
    release: Release | None = None
    requested_for: Maybe[Identity] = None


class Deployment(AzurePayload):
    """A deployment event's resource. Real events name the artifacts in `deployment`, which Microsoft's sample lacks."""

    environment: Environment
    deployment: ReleaseDeployment | None = None
    release: Release | None = None


class DeploymentChanged(Notification):
    resource: Deployment
