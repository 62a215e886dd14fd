"""The parts of CircleCI's webhook payloads that we read, named as CircleCI names them ("Outbound webhooks reference").

CircleCI promises the commit of a pipeline to nobody, and writes "" for much that it does not know.
"""

# ruff: noqa: D101 - the names are CircleCI's, and so is their description

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from integrations.deliveries import Address, Author, Commit, DeliveryId, Payload, Text, Url, VendorTime

Status = Literal["success", "failed", "error", "canceled", "unauthorized"]

EventType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]
"""Such as `workflow-completed`; it becomes part of our event's name."""

Revision = Annotated[Commit | None, BeforeValidator(lambda value: None if value == "" else value)]


class Head(Payload):
    """What names a delivery."""

    id: DeliveryId
    type: EventType


class VcsCommit(Payload):
    author: Author | None = None


class Vcs(Payload):
    """Of the GitHub OAuth app and of Bitbucket Cloud."""

    target_repository_url: Address | None = None
    revision: Revision = None
    branch: Text | None = None
    commit: VcsCommit | None = None


class Git(Payload):
    checkout_url: Address | None = None
    checkout_sha: Revision = None
    branch: Text | None = None


class Provider(Payload):
    user_username: Text | None = None
    commit_author_name: Text | None = None
    commit_author_email: Text | None = None


class TriggerParameters(Payload):
    """Of GitLab, the GitHub App and Bitbucket Data Center, instead of `vcs`."""

    git: Git = Field(default_factory=Git)
    gitlab: Provider | None = None
    github_app: Provider | None = None


class Pipeline(Payload):
    vcs: Vcs | None = None
    trigger_parameters: TriggerParameters = Field(default_factory=TriggerParameters)


class Workflow(Payload):
    name: Text
    url: Url


class Event(Payload):
    happened_at: VendorTime = None
    pipeline: Pipeline
    workflow: Workflow


class CompletedWorkflow(Workflow):
    status: Status


class WorkflowCompleted(Event):
    workflow: CompletedWorkflow


class Job(Payload):
    name: Text
    status: Status


class JobCompleted(Event):
    job: Job
