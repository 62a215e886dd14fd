"""The parts of Azure DevOps' service hook events that Trailgate reads, under their original names."""

# ruff: noqa: D101 - Azure DevOps documents these names

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from integrations.deliveries import Author, Commit, DeliveryId, Payload, Text, Url, VendorTime

Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{1,64}$")]
"""A state, a status or a result."""


class AzurePayload(Payload):
    model_config = ConfigDict(alias_generator=to_camel)


class Notification(AzurePayload):
    """The fields that every event has beside its `resource`."""

    event_type: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,128}$")]
    subscription_id: Text | None = None
    created_date: VendorTime = None


class IdentifiedNotification(Notification):
    """A notification with its id, which is the same in every delivery attempt."""

    id: DeliveryId


class Identity(AzurePayload):
    """A person, a group or a service; `uniqueName` is the sign-in name."""

    display_name: Text | None = None
    unique_name: Text | None = None


class WebLink(AzurePayload):
    href: Url


class Links(AzurePayload):
    web: WebLink | None = None


class Named(AzurePayload):
    """A project, a pipeline or a definition."""

    name: Text


class BuildRepository(AzurePayload):
    type: Text | None = None
    name: Text | None = None


class BuildRequest(AzurePayload):
    requested_for: Identity | None = None


class TriggerInfo(AzurePayload):
    """The trigger of a build for a pull request, whose `sourceVersion` is only a temporary test merge."""

    pr_source_sha: Commit | None = Field(None, alias="pr.sourceSha")
    pr_source_branch: Text | None = Field(None, alias="pr.sourceBranch")
    pr_number: Text | None = Field(None, alias="pr.number")


class Build(AzurePayload):
    """A build in resource version 1.0 (`status` is the result, `sourceGetVersion` the source) or 2.0."""

    status: Word
    result: Word | None = None
    definition: Named
    project: Named | None = None
    repository: BuildRepository | None = None
    source_branch: Text | None = None
    source_version: Commit | None = None
    source_get_version: Text | None = None
    trigger_info: TriggerInfo | None = None
    requested_for: Identity | None = None
    requests: tuple[BuildRequest, ...] = ()
    links: Links | None = Field(None, alias="_links")


class BuildCompleted(Notification):
    resource: Build


class PushedCommit(AzurePayload):
    commit_id: Commit
    author: Author | None = None


class RefUpdate(AzurePayload):
    name: Text
    new_object_id: Commit


class GitRepository(AzurePayload):
    name: Text
    project: Named


class Push(AzurePayload):
    ref_updates: list[RefUpdate]
    repository: GitRepository
    commits: tuple[PushedCommit, ...] = ()
    pushed_by: Identity | None = None


class CodePushed(Notification):
    resource: Push


class MergeSource(AzurePayload):
    commit_id: Commit


class Reviewer(Identity):
    """A reviewer. `vote` is 10 for approved, 5 for approved with suggestions; a group (`isContainer`) repeats votes."""

    vote: int = 0
    is_container: bool = False


class PullRequest(AzurePayload):
    pull_request_id: int
    status: Word
    source_ref_name: Text
    last_merge_source_commit: MergeSource
    repository: GitRepository
    created_by: Identity | None = None
    reviewers: tuple[Reviewer, ...] = ()


class PullRequestChanged(Notification):
    resource: PullRequest


class RunRepository(AzurePayload):
    """A repository that a run checked out. Only GitHub repositories have `fullName`."""

    full_name: Text | None = None


class RepositoryResource(AzurePayload):
    repository: RunRepository | None = None
    ref_name: Text | None = None
    version: Commit | None = None


class RepositoryResources(AzurePayload):
    """Repositories by alias. A pipeline may use several; its own has the alias `self`."""

    own: RepositoryResource | None = Field(None, alias="self")


class RunResources(AzurePayload):
    repositories: RepositoryResources | None = None


class Step(AzurePayload):
    """A run, or one of its stages or jobs."""

    name: Text
    display_name: Text | None = None
    state: Word
    result: Word | None = None
    links: Links | None = Field(None, alias="_links")


class Run(Step):
    resources: RunResources | None = None


class RepositoryChange(AzurePayload):
    author: Author | None = None
    version: Text | None = None


class ChangedRepository(AzurePayload):
    change: RepositoryChange | None = None


class RunOfPipeline(AzurePayload):
    run: Run
    pipeline: Named
    repositories: tuple[ChangedRepository, ...] = ()
    requested_for: Identity | None = None


class RunStateChanged(Notification):
    resource: RunOfPipeline


class StageOfPipeline(RunOfPipeline):
    stage: Step


class StageStateChanged(Notification):
    resource: StageOfPipeline


class JobOfPipeline(StageOfPipeline):
    job: Step


class JobStateChanged(Notification):
    resource: JobOfPipeline


class ArtifactVersion(AzurePayload):
    id: Text | None = None


class DefinitionReference(AzurePayload):
    source_version: ArtifactVersion | None = None


class Artifact(AzurePayload):
    is_primary: bool = False
    definition_reference: DefinitionReference | None = None


class Release(AzurePayload):
    artifacts: tuple[Artifact, ...] | None = None
    links: Links | None = Field(None, alias="_links")


class Environment(AzurePayload):
    name: Text
    status: Word
    release: Release | None = None


class ReleaseDeployment(AzurePayload):
    release: Release | None = None
    requested_for: Identity | None = None


class Deployment(AzurePayload):
    """A deployment event's resource. Real events name the artifacts in `deployment`, which Microsoft's sample lacks."""

    environment: Environment
    deployment: ReleaseDeployment | None = None
    release: Release | None = None


class DeploymentChanged(Notification):
    resource: Deployment
