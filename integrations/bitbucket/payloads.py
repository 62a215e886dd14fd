"""The parts of Bitbucket's webhook payloads that Trailgate reads, under their names in Cloud and in Data Center."""

# ruff: noqa: D101 - Atlassian documents these names

from typing import Annotated

from pydantic import ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel

from integrations.deliveries import Commit, Id, Maybe, Payload, Shown, State, Url, VendorTime

CommitUrl = Annotated[str, StringConstraints(max_length=2048, pattern=r"^[^\x00-\x20]+/commit/[0-9a-fA-F]{7,64}$")]
"""The URL of a commit in Bitbucket's API, which is how a status names its commit."""


class Account(Payload):
    """A person, an app or a workspace. Only people have a nickname; Bitbucket has removed user names."""

    nickname: Maybe[Shown] = None
    display_name: Maybe[Shown] = None


class Repository(Payload):
    full_name: Maybe[Shown] = None


class Event(Payload):
    actor: Maybe[Account] = None
    repository: Maybe[Repository] = None


class Author(Payload):
    """The author of a commit; `raw` is git's form, such as `Ada <ada@northwind.example>`."""

    raw: Maybe[str] = None


class Target(Payload):
    hash: Commit
    author: Maybe[Author] = None


class Ref(Payload):
    """A branch or a tag."""

    type: str
    name: Maybe[Shown] = None
    target: Target


class Change(Payload):
    """One ref that a push changed; `new` is null if the push deleted the ref."""

    new: Ref | None


class Push(Payload):
    changes: list[Change]


class PushEvent(Event):
    push: Push


class PullRequestCommit(Payload):
    """The source commit; Bitbucket Cloud abbreviates `hash` to twelve digits."""

    hash: Commit


class Branch(Payload):
    name: Maybe[Shown] = None


class PullRequestSource(Payload):
    """Where a pull request comes from; `commit` is null once that repository or branch is deleted."""

    commit: PullRequestCommit | None = None
    branch: Maybe[Branch] = None


class PullRequest(Payload):
    id: Maybe[Id] = None
    source: PullRequestSource
    author: Maybe[Account] = None
    updated_on: VendorTime = None


class PullRequestEvent(Event):
    pullrequest: PullRequest


class Approval(Payload):
    user: Maybe[Account] = None
    date: VendorTime = None


class ApprovedEvent(PullRequestEvent):
    approval: Maybe[Approval] = None


class Link(Payload):
    href: CommitUrl


class StatusLinks(Payload):
    commit: Link


class StatusCommit(Payload):
    author: Maybe[Author] = None


class CommitStatus(Payload):
    key: str
    state: State
    links: StatusLinks
    name: Maybe[Shown] = None
    refname: Maybe[Shown] = None
    url: Maybe[Url] = None
    updated_on: VendorTime = None
    commit: Maybe[StatusCommit] = None


class CommitStatusEvent(Event):
    commit_status: CommitStatus


class DataCenterPayload(Payload):
    model_config = ConfigDict(alias_generator=to_camel)


class User(DataCenterPayload):
    name: Maybe[Shown] = None


class Project(DataCenterPayload):
    key: str


class ProjectRepository(DataCenterPayload):
    slug: str
    project: Project


class DataCenterEvent(DataCenterPayload):
    date: VendorTime = None
    actor: Maybe[User] = None


class ChangedRef(DataCenterPayload):
    """A branch (`BRANCH`) or a tag (`TAG`)."""

    display_id: Maybe[Shown] = None
    type: str


class RefChange(DataCenterPayload):
    """One ref that a push changed: `type` is `ADD`, `UPDATE` or `DELETE`."""

    ref: ChangedRef
    to_hash: Commit
    type: str


class RefsChangedEvent(DataCenterEvent):
    repository: Maybe[ProjectRepository] = None
    changes: list[RefChange]


class SourceRef(DataCenterPayload):
    display_id: Maybe[Shown] = None
    latest_commit: Commit


class TargetRef(DataCenterPayload):
    repository: Maybe[ProjectRepository] = None


class Participant(DataCenterPayload):
    user: Maybe[User] = None


class DataCenterPullRequest(DataCenterPayload):
    id: Maybe[Id] = None
    from_ref: SourceRef
    to_ref: Maybe[TargetRef] = None
    author: Maybe[Participant] = None


class DataCenterPullRequestEvent(DataCenterEvent):
    pull_request: DataCenterPullRequest


class ReviewerApprovedEvent(DataCenterPullRequestEvent):
    participant: Maybe[Participant] = None
