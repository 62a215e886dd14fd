"""The parts of Bitbucket's webhook payloads that Trailgate reads, under their names in Cloud and in Data Center."""

# ruff: noqa: D101 - Atlassian documents these names

from typing import Annotated, Literal

from pydantic import ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel

from integrations.deliveries import Commit, Payload, Text, Url, VendorTime

State = Literal["INPROGRESS", "SUCCESSFUL", "FAILED", "STOPPED"]

CommitUrl = Annotated[str, StringConstraints(max_length=2048, pattern=r"^[^\x00-\x20]+/commit/[0-9a-fA-F]{7,64}$")]
"""The URL of a commit in Bitbucket's API, which is how a status names its commit."""


class Account(Payload):
    """A person, an app or a workspace. Only people have a nickname; Bitbucket has removed user names."""

    nickname: Text | None = None
    display_name: Text | None = None


class Repository(Payload):
    full_name: Text


class Event(Payload):
    actor: Account | None = None
    repository: Repository | None = None


class Author(Payload):
    """The author of a commit; `raw` is git's form, such as `Ada <ada@northwind.example>`."""

    raw: Text | None = None


class Target(Payload):
    hash: Commit
    author: Author | None = None


class Ref(Payload):
    """A branch or a tag."""

    type: Text
    name: Text
    target: Target


class Change(Payload):
    """One ref that a push changed; `new` is null if the push deleted the ref."""

    new: Ref | None = None


class Push(Payload):
    changes: list[Change]


class PushEvent(Event):
    push: Push


class PullRequestCommit(Payload):
    """The source commit; Bitbucket Cloud abbreviates `hash` to twelve digits."""

    hash: Commit


class Branch(Payload):
    name: Text


class PullRequestSource(Payload):
    commit: PullRequestCommit
    branch: Branch


class PullRequest(Payload):
    id: int
    source: PullRequestSource
    author: Account | None = None
    updated_on: VendorTime = None


class PullRequestEvent(Event):
    pullrequest: PullRequest


class Approval(Payload):
    user: Account
    date: VendorTime = None


class ApprovedEvent(PullRequestEvent):
    approval: Approval


class Link(Payload):
    href: CommitUrl


class StatusLinks(Payload):
    commit: Link


class StatusCommit(Payload):
    author: Author | None = None


class CommitStatus(Payload):
    key: Text
    state: State
    links: StatusLinks
    name: Text | None = None
    refname: Text | None = None
    url: Url | None = None
    updated_on: VendorTime = None
    commit: StatusCommit | None = None


class CommitStatusEvent(Event):
    commit_status: CommitStatus


class DataCenterPayload(Payload):
    model_config = ConfigDict(alias_generator=to_camel)


class User(DataCenterPayload):
    name: Text


class Project(DataCenterPayload):
    key: Text


class ProjectRepository(DataCenterPayload):
    slug: Text
    project: Project


class DataCenterEvent(DataCenterPayload):
    date: VendorTime = None
    actor: User | None = None


class ChangedRef(DataCenterPayload):
    display_id: Text
    type: Literal["BRANCH", "TAG"]


class RefChange(DataCenterPayload):
    ref: ChangedRef
    to_hash: Commit
    type: Literal["ADD", "UPDATE", "DELETE"]


class RefsChangedEvent(DataCenterEvent):
    repository: ProjectRepository
    changes: list[RefChange]


class PullRequestRef(DataCenterPayload):
    display_id: Text
    latest_commit: Commit
    repository: ProjectRepository


class Participant(DataCenterPayload):
    user: User


class DataCenterPullRequest(DataCenterPayload):
    id: int
    from_ref: PullRequestRef
    to_ref: PullRequestRef
    author: Participant | None = None


class DataCenterPullRequestEvent(DataCenterEvent):
    pull_request: DataCenterPullRequest


class ReviewerApprovedEvent(DataCenterPullRequestEvent):
    participant: Participant
