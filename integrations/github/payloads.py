"""The parts of GitHub's webhook payloads that Trailgate reads, under their original names."""

# ruff: noqa: D101 - GitHub documents these names

from integrations.deliveries import Author, Commit, Id, Maybe, Payload, Shown, State, Url, VendorTime, Word


class Account(Payload):
    login: Maybe[Shown] = None


class HeadCommit(Payload):
    author: Maybe[Author] = None


class Repository(Payload):
    full_name: Maybe[Shown] = None


class Event(Payload):
    """The fields of every payload. GitHub always sends repository and sender; other senders of its format may not."""

    repository: Maybe[Repository] = None
    sender: Maybe[Account] = None


class Action(Event):
    """An event whose meaning depends on the action."""

    action: Word


class Workflow(Payload):
    """The definition of a run. Its `name` is the same for every run, unlike a run's if the workflow sets `run-name`."""

    name: Maybe[str] = None
    path: Maybe[str] = None


class WorkflowRun(Payload):
    name: Maybe[str] = None
    event: Maybe[str] = None
    path: Maybe[str] = None
    check_suite_id: Maybe[Id] = None
    head_sha: Commit
    head_branch: Maybe[Shown] = None
    head_repository: Maybe[Repository] = None
    conclusion: State | None = None
    html_url: Maybe[Url] = None
    updated_at: VendorTime = None
    actor: Maybe[Account] = None
    head_commit: Maybe[HeadCommit] = None


class WorkflowRunEvent(Action):
    workflow_run: WorkflowRun
    workflow: Maybe[Workflow] = None


class App(Payload):
    slug: Maybe[str] = None


class CheckSuite(Payload):
    id: Maybe[Id] = None
    head_sha: Commit
    head_branch: Maybe[Shown] = None
    conclusion: State | None = None
    updated_at: VendorTime = None
    app: Maybe[App] = None
    head_commit: Maybe[HeadCommit] = None


class CheckSuiteEvent(Action):
    check_suite: CheckSuite


class SuiteOfRun(Payload):
    id: Maybe[Id] = None
    head_branch: Maybe[Shown] = None


class CheckRun(Payload):
    name: str
    head_sha: Commit
    conclusion: State | None = None
    html_url: Maybe[Url] = None
    completed_at: VendorTime = None
    app: Maybe[App] = None
    check_suite: Maybe[SuiteOfRun] = None


class CheckRunEvent(Action):
    check_run: CheckRun


class PullRequestHead(Payload):
    sha: Commit
    ref: Maybe[Shown] = None


class PullRequest(Payload):
    number: Maybe[Id] = None
    head: PullRequestHead
    user: Maybe[Account] = None
    updated_at: VendorTime = None


class PullRequestEvent(Action):
    pull_request: PullRequest


class PushEvent(Event):
    ref: str
    after: Commit
    deleted: Maybe[bool] = None
    head_commit: Maybe[HeadCommit] = None


class Deployment(Payload):
    sha: Commit
    task: Maybe[str] = None
    environment: Maybe[str] = None


class DeploymentStatus(Payload):
    state: State
    environment: Maybe[str] = None
    log_url: Maybe[Url] = None
    target_url: Maybe[Url] = None
    updated_at: VendorTime = None
    creator: Maybe[Account] = None


class DeployingCheck(Payload):
    """The check of the job that deploys, if GitHub Actions made the deployment."""

    name: Maybe[str] = None


class DeploymentStatusEvent(Event):
    deployment: Deployment
    deployment_status: DeploymentStatus
    workflow: Maybe[Workflow] = None
    check_run: Maybe[DeployingCheck] = None


class Release(Payload):
    target_commitish: str
    published_at: VendorTime = None
    author: Maybe[Account] = None


class ReleaseEvent(Action):
    release: Release
