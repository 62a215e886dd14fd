"""Parse GitHub's events, by GitHub's "Webhook events and payloads"."""

from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

from domain.facts.commits import is_whole
from integrations.contract import BadDelivery, Delivery, Parsed, TrailHint
from integrations.deliveries import BRANCH, attested, outcome_of, read
from integrations.github.payloads import (
    Account,
    CheckRunEvent,
    CheckSuiteEvent,
    Conclusion,
    DeploymentStatusEvent,
    Event,
    HeadCommit,
    PullRequestEvent,
    PushEvent,
    ReleaseEvent,
    WorkflowRunEvent,
)

_OUTCOMES: Mapping[Conclusion, tuple[str, str | None]] = {
    "success": ("succeeded", "PASSED"),
    "failure": ("failed", "FAILED"),
    "timed_out": ("failed", "FAILED"),
    "startup_failure": ("failed", "FAILED"),
    # A person has yet to act: not decided, but nothing may pass until then.
    "action_required": ("action_required", "PENDING"),
    # The code was not checked, so there is nothing to attest; an earlier result remains valid.
    "cancelled": ("cancelled", None),
    "skipped": ("skipped", None),
    "neutral": ("neutral", None),
    "stale": ("stale", None),
}
"""The suffix of the event type and the attested status, by conclusion. An unknown one is refused, never a pass."""

_DEPLOYMENTS: Mapping[str, tuple[str, str | None]] = {
    "success": ("succeeded", "PASSED"),
    "failure": ("failed", "FAILED"),
    "error": ("failed", "FAILED"),
}


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
    try:
        form = parse_qs(delivery.body.decode("ascii"), errors="strict", max_num_fields=8)
    except ValueError:
        raise BadDelivery("the body is not a valid form") from None
    if "payload" not in form:
        raise BadDelivery("Field required", "payload")
    return form["payload"][0].encode()


def _workflow_run(body: bytes) -> Parsed:
    event = read(WorkflowRunEvent, body)
    run = event.workflow_run
    sender = _login(event.sender) or _login(run.actor)
    trail = _trail(
        event, run.head_sha, sender, branch=run.head_branch, head=run.head_commit, build_url=run.html_url or None
    )
    if event.action in ("requested", "in_progress"):
        return Parsed("build.started", sender, trail, observed_at=run.updated_at)
    if event.action != "completed":
        return _kept("workflow_run", sender)
    ending, status = _outcome("workflow_run", run.conclusion)
    # Named after the workflow: without names, the last workflow to finish would hide the failures of the others.
    attestation = attested("BUILD", status, run.name, outcome_of("workflow", run.name, run.conclusion), run.html_url)
    return Parsed(f"build.{ending}", sender, trail, attestation, run.updated_at)


def _check_suite(body: bytes) -> Parsed:
    event = read(CheckSuiteEvent, body)
    suite = event.check_suite
    sender = _login(event.sender)
    if event.action != "completed":
        return _kept("check_suite", sender)
    ending, status = _outcome("check_suite", suite.conclusion)
    name = suite.app.slug if suite.app else None
    trail = _trail(event, suite.head_sha, sender, branch=suite.head_branch, head=suite.head_commit)
    attestation = attested("CHECK_SUITE", status, name, outcome_of("check suite", name, suite.conclusion))
    return Parsed(f"check_suite.{ending}", sender, trail, attestation, suite.updated_at)


def _check_run(body: bytes) -> Parsed:
    event = read(CheckRunEvent, body)
    run = event.check_run
    sender = _login(event.sender)
    if event.action != "completed":
        return _kept("check_run", sender)
    ending, status = _outcome("check_run", run.conclusion)
    trail = _trail(event, run.head_sha, sender, branch=run.check_suite.head_branch if run.check_suite else None)
    # A job's check often has its workflow's name; with the prefix, its result cannot replace the workflow's.
    name = f"check/{run.name}"
    attestation = attested("CHECK", status, name, outcome_of("check", run.name, run.conclusion), run.html_url)
    return Parsed(f"check.{ending}", sender, trail, attestation, run.completed_at)


def _pull_request(body: bytes) -> Parsed:
    """Parse a pull request. It names no reviewer, because GitHub lists requested reviewers here, not approvals."""
    event = read(PullRequestEvent, body)
    request = event.pull_request
    sender = _login(event.sender)
    author = _login(request.user) or sender
    trail = _trail(event, request.head.sha, author, branch=request.head.ref, pull_request=str(request.number))
    return Parsed(f"pull_request.{event.action}", sender, trail, observed_at=request.updated_at)


def _push(body: bytes) -> Parsed:
    """Name the trail of the branch's head. Tags record nothing: their `after` may be the tag instead of a commit."""
    event = read(PushEvent, body)
    sender = _login(event.sender)
    if event.deleted or not event.after.strip("0") or not event.ref.startswith(BRANCH):
        return _kept("push", sender)
    branch = event.ref.removeprefix(BRANCH)
    return Parsed("push", sender, _trail(event, event.after, sender, branch=branch, head=event.head_commit))


def _deployment_status(body: bytes) -> Parsed:
    """Parse a deployment status. The trail gets no branch, because a deployment's `ref` may be a tag or a commit."""
    event = read(DeploymentStatusEvent, body)
    deployed = event.deployment_status
    sender = _login(event.sender)
    trail = _trail(event, event.deployment.sha, sender, deployment_actor=_login(deployed.creator) or sender)
    ending, status = _DEPLOYMENTS.get(deployed.state, (deployed.state, None))
    details = outcome_of("deployment to", deployed.environment, deployed.state)
    url = deployed.log_url or deployed.target_url
    attestation = attested("DEPLOYMENT", status, f"deployment/{deployed.environment}", details, url)
    return Parsed(f"deployment.{ending}", sender, trail, attestation, deployed.updated_at)


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


def _outcome(event: str, conclusion: Conclusion | None) -> tuple[str, str | None]:
    if conclusion is None:
        raise BadDelivery(f"is required for a completed {event}", f"{event}.conclusion")
    return _OUTCOMES[conclusion]


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
        repository=event.repository.full_name if event.repository else None,
        build_url=build_url,
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
