"""The parts of CircleCI's webhook payloads that Trailgate reads, named as in its "Outbound webhooks reference".

CircleCI does not promise that a pipeline has a commit, and writes "" for many unknown values.
"""

# ruff: noqa: D101 - CircleCI documents these names

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StringConstraints

from integrations.deliveries import Address, Author, Commit, DeliveryId, Payload, Text, Url, VendorTime

Status = Literal["success", "failed", "error", "timedout", "infrastructure_fail", "canceled", "unauthorized"]

EventType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]
"""Such as `workflow-completed`; it becomes part of Trailgate's event type."""

Revision = Annotated[Commit | None, BeforeValidator(lambda value: None if value == "" else value)]


class Head(Payload):
    """The fields that identify a delivery."""

    id: DeliveryId
    type: EventType


class VcsCommit(Payload):
    author: Author | None = None


class Vcs(Payload):
    """The source of a pipeline from the GitHub OAuth app or Bitbucket Cloud."""

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
    """The source of a pipeline from GitLab, the GitHub App or Bitbucket Data Center, which have no `vcs`."""

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
