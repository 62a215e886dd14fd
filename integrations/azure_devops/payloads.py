"""The parts of Azure DevOps' service hook events that we read, named as Azure DevOps names them."""

# ruff: noqa: D101 - the names are Azure DevOps', and so is their description

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from integrations.deliveries import Author, Commit, DeliveryId, Payload, Text, Url, VendorTime

Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{1,64}$")]
"""A state, a status or a result."""


class AzurePayload(Payload):
    model_config = ConfigDict(alias_generator=to_camel)


class Notification(AzurePayload):
    """What every event carries around its `resource`."""

    event_type: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,128}$")]
    subscription_id: Text | None = None
    created_date: VendorTime = None


class IdentifiedNotification(Notification):
    """With the id, which is the event's: the same in every attempt to deliver it."""

    id: DeliveryId


class Identity(AzurePayload):
    """A person, a group or a service; `uniqueName` is the name they sign in with."""

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
    """Of a build that a pull request started: `sourceVersion` is then a merge made up for the test."""

    pr_source_sha: Commit | None = Field(None, alias="pr.sourceSha")
    pr_source_branch: Text | None = Field(None, alias="pr.sourceBranch")
    pr_number: Text | None = Field(None, alias="pr.number")


class Build(AzurePayload):
    """Resource versions 1.0 (`status` is the result, `sourceGetVersion` the source) and 2.0."""

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
    """`vote` is 10 for an approval and 5 for one with suggestions; a group (`isContainer`) repeats its members'."""

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
    """A repository that a run has checked out: `fullName` is told of GitHub's only."""

    full_name: Text | None = None


class RepositoryResource(AzurePayload):
    repository: RunRepository | None = None
    ref_name: Text | None = None
    version: Commit | None = None


class RepositoryResources(AzurePayload):
    """By alias. A pipeline may read many; its own is `self`."""

    own: RepositoryResource | None = Field(None, alias="self")


class RunResources(AzurePayload):
    repositories: RepositoryResources | None = None


class Step(AzurePayload):
    """A run, or a stage or job of one."""

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
    """`deployment` is not in Microsoft's sample, but is where a real event names the release's artifacts."""

    environment: Environment
    deployment: ReleaseDeployment | None = None
    release: Release | None = None


class DeploymentChanged(Notification):
    resource: Deployment
