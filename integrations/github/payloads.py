"""The parts of GitHub's webhook payloads that Trailgate reads, under their original names."""

# ruff: noqa: D101 - GitHub documents these names

from typing import Literal

from integrations.deliveries import Author, Commit, Payload, Text, Url, VendorTime, Word

Conclusion = Literal[
    "success",
    "failure",
    "timed_out",
    "startup_failure",
    "action_required",
    "cancelled",
    "skipped",
    "neutral",
    "stale",
]


class Account(Payload):
    login: Text


class HeadCommit(Payload):
    author: Author | None = None


class Repository(Payload):
    full_name: Text


class Event(Payload):
    """The fields of every payload. GitHub always sends repository and sender; other senders of its format may not."""

    action: Word | None = None
    repository: Repository | None = None
    sender: Account | None = None


class WorkflowRun(Payload):
    name: Text | None = None
    head_sha: Commit
    head_branch: Text | None = None
    conclusion: Conclusion | None = None
    html_url: Url | None = None
    updated_at: VendorTime = None
    actor: Account | None = None
    head_commit: HeadCommit | None = None


class WorkflowRunEvent(Event):
    workflow_run: WorkflowRun


class App(Payload):
    slug: Text | None = None


class CheckSuite(Payload):
    head_sha: Commit
    head_branch: Text | None = None
    conclusion: Conclusion | None = None
    updated_at: VendorTime = None
    app: App | None = None
    head_commit: HeadCommit | None = None


class CheckSuiteEvent(Event):
    check_suite: CheckSuite


class SuiteOfRun(Payload):
    head_branch: Text | None = None


class CheckRun(Payload):
    name: Text
    head_sha: Commit
    conclusion: Conclusion | None = None
    html_url: Url | None = None
    completed_at: VendorTime = None
    check_suite: SuiteOfRun | None = None


class CheckRunEvent(Event):
    check_run: CheckRun


class PullRequestHead(Payload):
    sha: Commit
    ref: Text


class PullRequest(Payload):
    number: int
    head: PullRequestHead
    user: Account | None = None
    updated_at: VendorTime = None


class PullRequestEvent(Event):
    action: Word
    pull_request: PullRequest


class PushEvent(Event):
    ref: Text
    after: Commit
    deleted: bool = False
    head_commit: HeadCommit | None = None


class Deployment(Payload):
    sha: Commit


class DeploymentStatus(Payload):
    state: Word
    environment: Text | None = None
    log_url: Url | None = None
    target_url: Url | None = None
    updated_at: VendorTime = None
    creator: Account | None = None


class DeploymentStatusEvent(Event):
    deployment: Deployment
    deployment_status: DeploymentStatus


class Release(Payload):
    target_commitish: Text
    published_at: VendorTime = None
    author: Account | None = None


class ReleaseEvent(Event):
    release: Release
