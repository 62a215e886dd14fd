"""Parse GitHub's events, by GitHub's "Webhook events and payloads"."""

from collections.abc import Callable, Mapping

from domain.facts.commits import is_whole
from integrations.contract import BadDelivery, Delivery, Parsed, TrailHint
from integrations.deliveries import BRANCH, Meaning, attested, identity_of, meaning_of, outcome_of, read, shown
from integrations.forms import form_field
from integrations.github.payloads import (
    Account,
    CheckRun,
    CheckRunEvent,
    CheckSuiteEvent,
    DeploymentStatusEvent,
    Event,
    HeadCommit,
    PullRequestEvent,
    PushEvent,
    ReleaseEvent,
    Repository,
    WorkflowRunEvent,
)

_CONCLUSIONS: Mapping[str, Meaning] = {
    "success": Meaning("succeeded", "PASSED"),
    "failure": Meaning("failed", "FAILED"),
    "timed_out": Meaning("failed", "FAILED"),
    "startup_failure": Meaning("failed", "FAILED"),
    # A person has yet to act: not decided, but nothing may pass until then.
    "action_required": Meaning("action_required", "PENDING"),
    # The code was not checked, so there is nothing to attest; an earlier result remains valid.
    "cancelled": Meaning("cancelled"),
    "skipped": Meaning("skipped"),
    "neutral": Meaning("neutral"),
    "stale": Meaning("stale"),
}
"""The suffix of the event type and the attested status, by the conclusion of a run or check."""

_DEPLOYMENTS: Mapping[str, Meaning] = {
    "success": Meaning("succeeded", "PASSED"),
    "failure": Meaning("failed", "FAILED"),
    "error": Meaning("failed", "FAILED"),
    # It has not ended, or a newer deployment has replaced it.
    "pending": Meaning("pending"),
    "queued": Meaning("queued"),
    "waiting": Meaning("waiting"),
    "in_progress": Meaning("in_progress"),
    "inactive": Meaning("inactive"),
}
"""The same by the state of a deployment."""


def parse(delivery: Delivery, /) -> Parsed:
    """Parse one event; unknown ones become `github.<event>` and record nothing.

    A delivery without `X-GitHub-Event` is parsed as a workflow run, because OpenFactstore's clients may send those
    without the header. Raises BadDelivery, naming the field.
    """
    event = delivery.event or "workflow_run"
    reader = _READERS.get(event)
    return reader(json_of(delivery)) if reader else _kept(event)


def json_of(delivery: Delivery) -> bytes:
    """Return the payload, taken from its form field if the hook is form-encoded. Raises BadDelivery."""
    if not delivery.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
        return delivery.body
    return form_field(delivery.body, "payload")


def _workflow_run(body: bytes) -> Parsed:
    event = read(WorkflowRunEvent, body)
    run = event.workflow_run
    sender = _login(event.sender) or _login(run.actor)
    trail = _trail(event, run.head_sha, sender, branch=run.head_branch, head=run.head_commit, build_url=run.html_url)
    if event.action in ("requested", "in_progress"):
        return Parsed("build.started", sender, trail, observed_at=run.updated_at)
    if event.action != "completed":
        return _kept("workflow_run", sender)
    meaning = _conclusion("workflow_run", run.conclusion)
    name = (event.workflow.name if event.workflow else None) or run.name
    attestation = attested(
        "BUILD",
        meaning.status,
        name,
        outcome_of("workflow", run.name or name, run.conclusion),
        run.html_url,
        identity=_identity_of_run(event),
        run=run.check_suite_id,
    )
    return Parsed(f"build.{meaning.ending}", sender, trail, attestation, run.updated_at, meaning.unknown)


def _identity_of_run(event: WorkflowRunEvent) -> str | None:
    """Name a run by workflow and event: a commit may have runs of one workflow for its push and its pull request.

    A run for a fork is another one, because it has no secrets and may pass by doing less.
    """
    run, workflow = event.workflow_run, event.workflow
    path = (workflow.path if workflow else None) or run.path or (workflow.name if workflow else None) or run.name
    home, head = _full_name(event.repository), _full_name(run.head_repository)
    fork = f"fork {head}" if home and head and head != home else None
    return identity_of("workflow", path, run.event, fork) if path else None


def _check_suite(body: bytes) -> Parsed:
    event = read(CheckSuiteEvent, body)
    suite = event.check_suite
    sender = _login(event.sender)
    if event.action != "completed":
        return _kept("check_suite", sender)
    meaning = _conclusion("check_suite", suite.conclusion)
    app = suite.app.slug if suite.app else None
    trail = _trail(event, suite.head_sha, sender, branch=suite.head_branch, head=suite.head_commit)
    details = outcome_of("check suite", app, suite.conclusion)
    identity = identity_of("check suite", app, suite.id)
    attestation = attested("CHECK_SUITE", meaning.status, app, details, identity=identity, run=suite.id)
    return Parsed(f"check_suite.{meaning.ending}", sender, trail, attestation, suite.updated_at, meaning.unknown)


def _check_run(body: bytes) -> Parsed:
    event = read(CheckRunEvent, body)
    run = event.check_run
    sender = _login(event.sender)
    if event.action != "completed":
        return _kept("check_run", sender)
    meaning = _conclusion("check_run", run.conclusion)
    trail = _trail(event, run.head_sha, sender, branch=run.check_suite.head_branch if run.check_suite else None)
    # A job's check often has its workflow's name: the prefix tells people which of the two it is.
    name = f"check/{run.name}"
    attestation = attested(
        "CHECK",
        meaning.status,
        name,
        outcome_of("check", run.name, run.conclusion),
        run.html_url,
        identity=_identity_of_check(run),
        run=run.check_suite.id if run.check_suite else None,
    )
    return Parsed(f"check.{meaning.ending}", sender, trail, attestation, run.completed_at, meaning.unknown)


def _identity_of_check(run: CheckRun) -> str:
    """Name a check by app, suite and name. Every run of a workflow has a suite of its own, whose checks it replaces."""
    suite = f"suite {run.check_suite.id}" if run.check_suite and run.check_suite.id else None
    return identity_of("check", run.app.slug if run.app else None, suite, run.name)


def _pull_request(body: bytes) -> Parsed:
    """Parse a pull request. It names no reviewer, because GitHub lists requested reviewers here, not approvals."""
    event = read(PullRequestEvent, body)
    request = event.pull_request
    sender = _login(event.sender)
    author = _login(request.user) or sender
    number = str(request.number) if request.number else None
    trail = _trail(event, request.head.sha, author, branch=request.head.ref, pull_request=number)
    return Parsed(f"pull_request.{event.action}", sender, trail, observed_at=request.updated_at)


def _push(body: bytes) -> Parsed:
    """Name the trail of the branch's head. Tags record nothing: their `after` may be the tag instead of a commit."""
    event = read(PushEvent, body)
    sender = _login(event.sender)
    if event.deleted or not event.after.strip("0") or not event.ref.startswith(BRANCH):
        return _kept("push", sender)
    branch = shown(event.ref.removeprefix(BRANCH))
    return Parsed("push", sender, _trail(event, event.after, sender, branch=branch, head=event.head_commit))


def _deployment_status(body: bytes) -> Parsed:
    """Parse a deployment status. The trail gets no branch, because a deployment's `ref` may be a tag or a commit."""
    event = read(DeploymentStatusEvent, body)
    deployed = event.deployment_status
    sender = _login(event.sender)
    trail = _trail(event, event.deployment.sha, sender, deployment_actor=_login(deployed.creator) or sender)
    meaning = meaning_of(deployed.state, _DEPLOYMENTS)
    environment = deployed.environment or event.deployment.environment
    attestation = attested(
        "DEPLOYMENT",
        meaning.status,
        f"deployment/{environment}" if environment else None,
        outcome_of("deployment to", environment, deployed.state),
        deployed.log_url or deployed.target_url,
        identity=_identity_of_deployment(event, environment),
    )
    event_type = f"deployment.{meaning.ending}"
    return Parsed(event_type, sender, trail, attestation, deployed.updated_at, meaning.unknown)


def _identity_of_deployment(event: DeploymentStatusEvent, environment: str | None) -> str:
    """Name a deployment by environment and task, and by workflow and job: GitHub Actions calls every task `deploy`."""
    workflow = event.workflow.path if event.workflow else None
    job = event.check_run.name if event.check_run else None
    return identity_of("deployment", environment, event.deployment.task, workflow, job)


def _release(body: bytes) -> Parsed:
    """Parse a release. It has a trail only if `target_commitish` is a complete commit; usually it is a branch."""
    event = read(ReleaseEvent, body)
    release = event.release
    sender = _login(event.sender)
    if event.action != "published":
        return _kept("release", sender)
    commit = release.target_commitish.lower()
    author = _login(release.author) or sender
    trail = _trail(event, commit, author) if is_whole(commit) else None
    return Parsed("release.published", sender, trail, observed_at=release.published_at)


def _kept(event: str, actor: str | None = None) -> Parsed:
    return Parsed(f"github.{event}", actor)


def _login(account: Account | None) -> str | None:
    return account.login if account else None


def _full_name(repository: Repository | None) -> str | None:
    return repository.full_name or None if repository else None


def _conclusion(event: str, conclusion: str | None) -> Meaning:
    if conclusion is None:
        raise BadDelivery(f"is required for a completed {event}", f"{event}.conclusion")
    return meaning_of(conclusion, _CONCLUSIONS)


def _trail(
    event: Event,
    commit: str,
    login: str | None,
    *,
    branch: str | None = None,
    head: HeadCommit | None = None,
    build_url: str | None = None,
    pull_request: str | None = None,
    deployment_actor: str | None = None,
) -> TrailHint:
    written = head.author if head else None
    return TrailHint(
        commit=commit,
        branch=branch or None,
        author=(written.name if written else None) or login,
        author_email=(written.email if written else None) or None,
        repository=_full_name(event.repository),
        build_url=build_url or None,
        pull_request=pull_request,
        deployment_actor=deployment_actor,
    )


_READERS: Mapping[str, Callable[[bytes], Parsed]] = {
    "workflow_run": _workflow_run,
    "check_suite": _check_suite,
    "check_run": _check_run,
    "pull_request": _pull_request,
    "push": _push,
    "deployment_status": _deployment_status,
    "release": _release,
    "ping": lambda _body: Parsed("ping"),
}
