"""Parse GitLab's events, by GitLab's "Webhook events".

The event is read from the body: the header `X-Gitlab-Event` is not always signed and differs for system hooks.
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
    # A person refused a deployment that needed an approval.
    "rejected": ("rejected", "FAILED"),
    # A person has yet to act: not decided, but nothing may pass until then.
    "manual": ("action_required", "PENDING"),
    "blocked": ("action_required", "PENDING"),
    # The code was not checked, so there is nothing to attest; an earlier result remains valid.
    "canceled": ("cancelled", None),
    "skipped": ("skipped", None),
}
"""The suffix of the event type and the attested status, by the status of a finished pipeline, job or deployment."""

_APPROVALS = ("approval", "approved")


def parse(delivery: Delivery, /) -> Parsed:
    """Parse one event; unknown ones become `gitlab.<object_kind>` and record nothing.

    A body without a kind is in Trailgate's generic format, which OpenFactstore's clients send to all sources but
    GitHub. Raises BadDelivery, naming the field.
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
    # A commit may have pipelines for its push, merge request, schedules and parent pipelines: under one name, the last
    # to finish would hide the failures of the others.
    name = pipeline.name or pipeline.source
    attestation = attested("BUILD", status, name, outcome_of("pipeline", name, pipeline.status), url)
    return Parsed(f"build.{ending}", username, trail, attestation, observed_at)


def _job(body: bytes) -> Parsed:
    """Parse a job. Of a job that is allowed to fail, only a success is attested.

    The trail of a merge request's job has no branch, because the job's `ref` is that of the merge request.
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
    # With the prefix, a job's result cannot replace the result of a pipeline with the same name.
    attestation = attested("CHECK", status, f"check/{event.build_name}", details, url)
    observed_at = event.build_finished_at or event.build_created_at
    return Parsed(f"check.{ending}", username, trail, attestation, observed_at)


def _merge_request(body: bytes) -> Parsed:
    """Parse a merge request. The reviewer is who approved it. Test deliveries have no action and record nothing."""
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
    """Name the trail of the branch's head. Pushes of tags are a different event and record nothing."""
    event = read(PushEvent, body)
    username = event.user_username or None
    if not event.after.strip("0") or not event.ref.startswith(BRANCH):
        return _kept("push", username)
    head = next((commit for commit in event.commits if commit.id == event.after), None)
    branch = event.ref.removeprefix(BRANCH)
    return Parsed("push", username, _trail(event, event.after, _author(head, username), branch=branch))


def _deployment(body: bytes) -> Parsed:
    """Parse a deployment. Only the commit's URL has the complete commit. No branch, because `ref` may be a tag."""
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
    """Parse a release. It is observed at `created_at`: people enter `released_at`, which may be in the future."""
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
    """Return name and e-mail address of the commit's author; without a commit, the user who triggered the event."""
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
