"""The parts of CircleCI's webhook payloads that Trailgate reads, named as in its "Outbound webhooks reference".

CircleCI does not promise that a pipeline has a commit, and writes "" for many unknown values.
"""

# ruff: noqa: D101 - CircleCI documents these names

from typing import Annotated

from pydantic import BeforeValidator, StringConstraints

from integrations.deliveries import Address, Author, Commit, DeliveryId, Maybe, Payload, Shown, State, Url, VendorTime

EventType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]
"""Such as `workflow-completed`; it becomes part of Trailgate's event type."""

Revision = Annotated[Commit | None, BeforeValidator(lambda value: None if value == "" else value)]


class Head(Payload):
    """The fields that identify a delivery."""

    id: DeliveryId
    type: EventType


class VcsCommit(Payload):
    author: Maybe[Author] = None


class Vcs(Payload):
    """The source of a pipeline from the GitHub OAuth app or Bitbucket Cloud."""

    target_repository_url: Maybe[Address] = None
    revision: Revision = None
    branch: Maybe[Shown] = None
    commit: Maybe[VcsCommit] = None


class Git(Payload):
    checkout_url: Maybe[Address] = None
    checkout_sha: Revision = None
    branch: Maybe[Shown] = None


class Provider(Payload):
    user_username: Maybe[Shown] = None
    commit_author_name: Maybe[Shown] = None
    commit_author_email: Maybe[Shown] = None


class TriggerParameters(Payload):
    """The source of a pipeline from GitLab, the GitHub App or Bitbucket Data Center, which have no `vcs`."""

    git: Git | None = None
    gitlab: Maybe[Provider] = None
    github_app: Maybe[Provider] = None


class Pipeline(Payload):
    vcs: Vcs | None = None
    trigger_parameters: TriggerParameters | None = None


class Workflow(Payload):
    name: str
    url: Maybe[Url] = None


class Event(Payload):
    happened_at: VendorTime = None
    pipeline: Pipeline
    workflow: Workflow


class CompletedWorkflow(Workflow):
    status: State


class WorkflowCompleted(Event):
    workflow: CompletedWorkflow


class Job(Payload):
    name: str
    status: State


class JobCompleted(Event):
    job: Job
