"""What GitLab's events mean to us (integrations.md 14, GitLab's "Webhook events").

The body alone says which event it is: the header `X-Gitlab-Event` is neither signed nor the same for system hooks.
"""

from collections.abc import Callable, Mapping

from domain.facts.commits import is_whole
from integrations.contract import Delivery, Parsed, TrailHint
from integrations.deliveries import BRANCH, attested, outcome_of, read
from integrations.generic.parse import parse as parse_generic
from integrations.gitlab.payloads import (
    CommitAttributes,
    DeploymentEvent,
    Event,
    JobEvent,
    Kind,
    MergeRequestEvent,
    PipelineEvent,
    PushEvent,
    ReleaseEvent,
)

_OUTCOMES: Mapping[str, tuple[str, str | None]] = {
    "success": ("succeeded", "PASSED"),
    "failed": ("failed", "FAILED"),
    # A person has yet to act: no verdict on the code, but nothing may pass meanwhile.
    "manual": ("action_required", "PENDING"),
    "blocked": ("action_required", "PENDING"),
    # Nobody looked at the code, so there is nothing to attest; an earlier result stands.
    "canceled": ("cancelled", None),
    "skipped": ("skipped", None),
}
"""How our event ends and which status it attests, by a finished pipeline's, job's or deployment's status."""

_APPROVALS = ("approval", "approved")


def parse(delivery: Delivery, /) -> Parsed:
    """Read one event; those we do not know become `gitlab.<object_kind>` with nothing to record.

    A body that names no kind is in our own format, as the older API had it of GitLab (integrations.md 14.2). Raises
    BadDelivery naming the field.
    """
    kind = read(Kind, delivery.body)
    event = kind.object_kind or kind.event_name
    if event is None:
        return parse_generic(delivery)
    reader = _READERS.get(event)
    return reader(delivery.body) if reader else _kept(event)


def _pipeline(body: bytes) -> Parsed:
    event = read(PipelineEvent, body)
    pipeline, request = event.object_attributes, event.merge_request
    username = _username(event)
    url = pipeline.url or _page(event, "pipelines", pipeline.id)
    branch = (request.source_branch if request else None) or (None if pipeline.tag else pipeline.ref)
    number = str(request.iid) if request else None
    author = _author(event.commit, username)
    trail = _trail(event, pipeline.sha, author, branch=branch, build_url=url, pull_request=number)
    observed_at = pipeline.finished_at or pipeline.created_at
    if pipeline.status == "running":
        return Parsed("build.started", username, trail, observed_at=observed_at)
    if pipeline.status not in _OUTCOMES:
        return _kept("pipeline", username)
    ending, status = _OUTCOMES[pipeline.status]
    # A commit has a pipeline for its push, its merge request, its schedules and each parent: under one name the last to
    # finish would hide the others' failures.
    name = pipeline.name or pipeline.source
    attestation = attested("BUILD", status, name, outcome_of("pipeline", name, pipeline.status), url)
    return Parsed(f"build.{ending}", username, trail, attestation, observed_at)


def _job(body: bytes) -> Parsed:
    """Of a job that is allowed to fail only a success counts: the project says that the rest is no verdict.

    No branch for jobs of merge requests: their `ref` is the request's.
    """
    event = read(JobEvent, body)
    username = _username(event)
    if event.build_status not in _OUTCOMES:
        return _kept("build", username)
    ending, status = _OUTCOMES[event.build_status]
    if status != "PASSED" and event.build_allow_failure:
        status = None
    commit = event.commit
    author = ((commit.author_name if commit else None) or username, commit.author_email if commit else None)
    branch = None if event.tag or not event.ref or event.ref.startswith("refs/") else event.ref
    trail = _trail(event, event.sha, author, branch=branch)
    details = outcome_of("job", event.build_name, event.build_status)
    url = _page(event, "jobs", event.build_id)
    # Under its pipeline's name a job's result would hide the pipeline's.
    attestation = attested("CHECK", status, f"check/{event.build_name}", details, url)
    observed_at = event.build_finished_at or event.build_created_at
    return Parsed(f"check.{ending}", username, trail, attestation, observed_at)


def _merge_request(body: bytes) -> Parsed:
    """The reviewer is who approved, never who was asked to. GitLab's test button sends no action: kept only."""
    event = read(MergeRequestEvent, body)
    request = event.object_attributes
    username = _username(event)
    if request.action is None:
        return _kept("merge_request", username)
    trail = _trail_of_request(event, request.last_commit, username) if request.last_commit else None
    return Parsed(f"pull_request.{request.action}", username, trail, observed_at=request.updated_at)


def _trail_of_request(event: MergeRequestEvent, commit: CommitAttributes, username: str | None) -> TrailHint:
    request = event.object_attributes
    return _trail(
        event,
        commit.id,
        _author(commit, username),
        branch=request.source_branch,
        pull_request=str(request.iid),
        pull_request_reviewer=username if request.action in _APPROVALS else None,
    )


def _push(body: bytes) -> Parsed:
    """A trail for the tip of a branch. Pushes of tags are an event of their own, kept only."""
    event = read(PushEvent, body)
    username = event.user_username or None
    if not event.after.strip("0") or not event.ref.startswith(BRANCH):
        return _kept("push", username)
    head = next((commit for commit in event.commits if commit.id == event.after), None)
    branch = event.ref.removeprefix(BRANCH)
    return Parsed("push", username, _trail(event, event.after, _author(head, username), branch=branch))


def _deployment(body: bytes) -> Parsed:
    """The whole commit is told only by the end of its link. No branch: `ref` may as well be a tag."""
    event = read(DeploymentEvent, body)
    username = _username(event)
    linked = (event.commit_url or "").rpartition("/")[2]
    commit = linked if is_whole(linked) and linked.startswith(event.short_sha) else event.short_sha
    trail = _trail(event, commit, (username, None), deployment_actor=username)
    ending, status = _OUTCOMES.get(event.status, (event.status, None))
    details = outcome_of("deployment to", event.environment, event.status)
    name = f"deployment/{event.environment}"
    attestation = attested("DEPLOYMENT", status, name, details, event.deployable_url)
    return Parsed(f"deployment.{ending}", username, trail, attestation, event.status_changed_at)


def _release(body: bytes) -> Parsed:
    """Observed when it was created: `released_at` is what people enter, and may lie in the future."""
    event = read(ReleaseEvent, body)
    if event.action != "create":
        return _kept("release")
    commit = event.commit
    trail = _trail(event, commit.id, _author(commit, None)) if commit and is_whole(commit.id) else None
    return Parsed("release.published", None, trail, observed_at=event.created_at)


def _kept(event: str, actor: str | None = None) -> Parsed:
    return Parsed(f"gitlab.{event}", actor)


def _username(event: Event) -> str | None:
    return (event.user.username if event.user else None) or None


def _author(commit: CommitAttributes | None, username: str | None) -> tuple[str | None, str | None]:
    """Name and e-mail address of who wrote the commit; without a commit, who set the event off."""
    written = commit.author if commit else None
    return (written.name if written else None) or username, written.email if written else None


def _page(event: Event, kind: str, number: int) -> str | None:
    web_url = event.project.web_url if event.project else None
    return f"{web_url}/-/{kind}/{number}" if web_url else None


def _trail(
    event: Event,
    commit: str,
    author: tuple[str | None, str | None],
    *,
    branch: str | None = None,
    build_url: str | None = None,
    pull_request: str | None = None,
    pull_request_reviewer: str | None = None,
    deployment_actor: str | None = None,
) -> TrailHint:
    name, email = author
    return TrailHint(
        commit=commit,
        branch=branch or None,
        author=name,
        author_email=email or None,
        repository=event.project.path_with_namespace if event.project else None,
        build_url=build_url,
        pull_request=pull_request,
        pull_request_reviewer=pull_request_reviewer,
        deployment_actor=deployment_actor,
    )


_READERS: Mapping[str, Callable[[bytes], Parsed]] = {
    "pipeline": _pipeline,
    "build": _job,
    "merge_request": _merge_request,
    "push": _push,
    "deployment": _deployment,
    "release": _release,
}
