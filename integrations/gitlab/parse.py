"""Parse GitLab's events, by GitLab's "Webhook events".

The event is read from the body: the header `X-Gitlab-Event` is not always signed and differs for system hooks.
"""

from collections.abc import Callable, Mapping

from domain.facts.commits import is_whole
from integrations.contract import Delivery, Parsed, TrailHint
from integrations.deliveries import BRANCH, Meaning, attested, identity_of, meaning_of, outcome_of, read, shown
from integrations.generic.parse import parse as parse_generic
from integrations.gitlab.payloads import (
    CommitAttributes,
    DeploymentEvent,
    Event,
    JobEvent,
    Kind,
    MergeRequestEvent,
    PipelineEvent,
    Project,
    PushEvent,
    ReleaseEvent,
)

_STATUSES: Mapping[str, Meaning] = {
    "success": Meaning("succeeded", "PASSED"),
    "failed": Meaning("failed", "FAILED"),
    # A person has yet to act: not decided, but nothing may pass until then.
    "manual": Meaning("action_required", "PENDING"),
    # The code was not checked, so there is nothing to attest; an earlier result remains valid.
    "canceled": Meaning("cancelled"),
    "skipped": Meaning("skipped"),
}
"""The suffix of the event type and the attested status, by the status of a finished pipeline or job."""

_UNFINISHED = frozenset(
    {
        *("created", "waiting_for_resource", "preparing", "waiting_for_callback", "pending", "running"),
        *("canceling", "scheduled"),
    }
)
"""The statuses of pipelines and jobs from which another one follows."""

_DEPLOYMENTS: Mapping[str, Meaning] = {
    **_STATUSES,
    # A person refused a deployment that needed an approval.
    "rejected": Meaning("rejected", "FAILED"),
    "blocked": Meaning("action_required", "PENDING"),
    # Another status follows.
    "created": Meaning("created"),
    "running": Meaning("running"),
    "approved": Meaning("approved"),
}
"""The same by the status of a deployment."""

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
    number = str(request.iid) if request and request.iid else None
    author = _author(event.commit, username)
    trail = _trail(event, pipeline.sha, author, branch=branch, build_url=url, pull_request=number)
    observed_at = pipeline.finished_at or pipeline.created_at
    if pipeline.status == "running":
        return Parsed("build.started", username, trail, observed_at=observed_at)
    if pipeline.status in _UNFINISHED:
        return _kept("pipeline", username)
    meaning = meaning_of(pipeline.status, _STATUSES)
    name = pipeline.name or pipeline.source
    identity, run = _identity_of_pipeline(event)
    details = outcome_of("pipeline", name, pipeline.status)
    attestation = attested("BUILD", meaning.status, name, details, url, identity=identity, run=run)
    return Parsed(f"build.{meaning.ending}", username, trail, attestation, observed_at, meaning.unknown)


def _identity_of_pipeline(event: PipelineEvent) -> tuple[str, int]:
    """Name a pipeline by what started it, and return the run whose end supersedes it.

    A commit may have pipelines for its push, its tag, its merge request and its schedules. A child pipeline is named by
    the trigger job that started it, and belongs to the run of its parent. Its own name may have a number of the run.
    """
    pipeline, parent = event.object_attributes, event.source_pipeline
    if pipeline.source == "parent_pipeline" and parent and parent.pipeline_id:
        job = f"job {parent.job_id}" if parent.job_id else pipeline.name
        return identity_of("pipeline", pipeline.source, job), parent.pipeline_id
    upstream = _path(parent.project) if pipeline.source == "pipeline" and parent else None
    return identity_of("pipeline", pipeline.source, "tag" if pipeline.tag else None, upstream), pipeline.id


def _job(body: bytes) -> Parsed:
    """Parse a job. Of a job that is allowed to fail, only a success is attested.

    The trail of a merge request's job has no branch, because the job's `ref` is that of the merge request.
    """
    event = read(JobEvent, body)
    username = _username(event)
    if event.build_status in _UNFINISHED:
        return _kept("build", username)
    meaning = meaning_of(event.build_status, _STATUSES)
    status = None if event.build_allow_failure and meaning.status != "PASSED" else meaning.status
    commit = event.commit
    author = ((commit.author_name if commit else None) or username, commit.author_email if commit else None)
    branch = None if event.tag or not event.ref or event.ref.startswith("refs/") else event.ref
    trail = _trail(event, event.sha, author, branch=branch)
    details = outcome_of("job", event.build_name, event.build_status)
    identity, run = _identity_of_job(event)
    # A job may have its pipeline's name: the prefix tells people which of the two it is.
    name, url = f"check/{event.build_name}", _page(event, "jobs", event.build_id)
    attestation = attested("CHECK", status, name, details, url, identity=identity, run=run)
    observed_at = event.build_finished_at or event.build_created_at
    return Parsed(f"check.{meaning.ending}", username, trail, attestation, observed_at, meaning.unknown)


def _identity_of_job(event: JobEvent) -> tuple[str, int | None]:
    """Name a job by its pipeline, since the payload does not tell what started that; return the run it belongs to.

    This is the pipeline, or the parent of a child pipeline.
    """
    parent, here = event.source_pipeline, _path(event.project)
    is_child = parent is not None and here is not None and _path(parent.project) == here
    within = f"pipeline {event.pipeline_id}" if event.pipeline_id else event.build_stage
    run = parent.pipeline_id if parent and is_child else None
    return identity_of("job", within, event.build_name), run or event.pipeline_id


def _merge_request(body: bytes) -> Parsed:
    """Parse a merge request. The reviewer is who approved it. Test deliveries have no action and record nothing."""
    event = read(MergeRequestEvent, body)
    request = event.object_attributes
    username = _username(event)
    if request.action is None:
        return _kept("merge_request", username)
    trail = _trail_of_request(event, username)
    return Parsed(f"pull_request.{request.action}", username, trail, observed_at=request.updated_at)


def _trail_of_request(event: MergeRequestEvent, username: str | None) -> TrailHint | None:
    request, commit = event.object_attributes, event.object_attributes.last_commit
    if commit is None or commit.id is None:
        return None
    return _trail(
        event,
        commit.id,
        _author(commit, username),
        branch=request.source_branch,
        pull_request=str(request.iid) if request.iid else None,
        pull_request_reviewer=username if request.action in _APPROVALS else None,
    )


def _push(body: bytes) -> Parsed:
    """Name the trail of the branch's head. Pushes of tags are a different event and record nothing."""
    event = read(PushEvent, body)
    username = event.user_username or None
    if not event.after.strip("0") or not event.ref.startswith(BRANCH):
        return _kept("push", username)
    head = next((commit for commit in event.commits or () if commit.id == event.after), None)
    branch = shown(event.ref.removeprefix(BRANCH))
    return Parsed("push", username, _trail(event, event.after, _author(head, username), branch=branch))


def _deployment(body: bytes) -> Parsed:
    """Parse a deployment. Only the commit's URL has the complete commit. No branch, because `ref` may be a tag."""
    event = read(DeploymentEvent, body)
    username = _username(event)
    linked = (event.commit_url or "").rpartition("/")[2]
    commit = linked if is_whole(linked) and linked.startswith(event.short_sha) else event.short_sha
    trail = _trail(event, commit, (username, None), deployment_actor=username)
    meaning = meaning_of(event.status, _DEPLOYMENTS)
    details = outcome_of("deployment to", event.environment, event.status)
    name, identity = f"deployment/{event.environment}", identity_of("deployment", event.environment)
    attestation = attested("DEPLOYMENT", meaning.status, name, details, event.deployable_url, identity=identity)
    event_type = f"deployment.{meaning.ending}"
    return Parsed(event_type, username, trail, attestation, event.status_changed_at, meaning.unknown)


def _release(body: bytes) -> Parsed:
    """Parse a release. It is observed at `created_at`: people enter `released_at`, which may be in the future."""
    event = read(ReleaseEvent, body)
    if event.action != "create":
        return _kept("release")
    commit = event.commit
    whole = commit.id if commit and commit.id and is_whole(commit.id) else None
    trail = _trail(event, whole, _author(commit, None)) if whole else None
    return Parsed("release.published", None, trail, observed_at=event.created_at)


def _kept(event: str, actor: str | None = None) -> Parsed:
    return Parsed(f"gitlab.{event}", actor)


def _username(event: Event) -> str | None:
    return (event.user.username if event.user else None) or None


def _author(commit: CommitAttributes | None, username: str | None) -> tuple[str | None, str | None]:
    """Return name and e-mail address of the commit's author; without a commit, the user who triggered the event."""
    written = commit.author if commit else None
    return (written.name if written else None) or username, written.email if written else None


def _path(project: Project | None) -> str | None:
    return (project.path_with_namespace or None) if project else None


def _page(event: Event, kind: str, number: int | None) -> str | None:
    web_url = event.project.web_url if event.project else None
    return f"{web_url}/-/{kind}/{number}" if web_url and number else None


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
        repository=_path(event.project),
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
