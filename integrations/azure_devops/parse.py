"""Parse Azure DevOps' events, by Microsoft's "Service hooks events" and by payloads that were really sent.

Microsoft's samples contain no commit in the events of pipelines and releases, but real payloads do. An event without
a commit is still named and stored, but records nothing, because it belongs to no trail.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from domain.facts.commits import is_whole
from integrations.azure_devops.payloads import (
    Build,
    BuildCompleted,
    BuildRepository,
    CodePushed,
    Deployment,
    DeploymentChanged,
    GitRepository,
    Identity,
    JobStateChanged,
    Links,
    Notification,
    PullRequest,
    PullRequestChanged,
    RunOfPipeline,
    RunStateChanged,
    StageStateChanged,
    Step,
    Title,
)
from integrations.contract import BadDelivery, Delivery, Parsed, TrailHint
from integrations.deliveries import (
    BRANCH,
    Author,
    Meaning,
    attested,
    identity_of,
    meaning_of,
    outcome_of,
    read,
    shown,
)

_APPROVING_VOTE = 5
_TEST_SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
_GIT = frozenset({"TfsGit", "GitHub", "GitHubEnterprise", "Bitbucket", "Git"})
"""The types of repositories whose versions are commits."""

_SOURCE_GET_VERSION = re.compile(r"[^:]*:(refs/[^:]+):([0-9a-fA-F]{7,64})")

_RESULTS: Mapping[str, Meaning] = {
    "succeeded": Meaning("succeeded", "PASSED"),
    "failed": Meaning("failed", "FAILED"),
    # A step failed, and the pipeline is configured to continue: this is not a pass.
    "partiallySucceeded": Meaning("failed", "FAILED"),
    "succeededWithIssues": Meaning("failed", "FAILED"),
    # A check or a person rejected it, or the agent was lost.
    "rejected": Meaning("failed", "FAILED"),
    "abandoned": Meaning("failed", "FAILED"),
    # The code was not checked, so there is nothing to attest; an earlier result remains valid.
    "canceled": Meaning("cancelled"),
    "stopped": Meaning("cancelled"),
    "skipped": Meaning("skipped"),
}
"""The suffix of the event type and the attested status, by the result of whatever ended."""


def parse(delivery: Delivery, /) -> Parsed:
    """Parse one event; unknown ones become `azure_devops.<eventType>` and record nothing.

    The button "Test" sends one of Microsoft's samples, which is no evidence: it becomes a ping. Raises BadDelivery,
    naming the field.
    """
    notification = read(Notification, delivery.body)
    if notification.subscription_id == _TEST_SUBSCRIPTION:
        return Parsed("ping")
    reader = _READERS.get(notification.event_type)
    return reader(delivery.body) if reader else _kept(notification)


def _build(body: bytes) -> Parsed:
    event = read(BuildCompleted, body)
    build, name = event.resource, event.resource.definition.name
    requests = [request.requested_for for request in build.requests or ()]
    actor = _name(build.requested_for, *requests)
    result, meaning = _result_of_build(build)
    trail, url = _trail_of_build(build, actor), _web(build.links)
    # A build for a pull request tries its merge, so it does not stand for a build of the commit itself.
    purpose = "pull request" if build.trigger_info and build.trigger_info.pr_source_sha else None
    identity = identity_of("pipeline", build.definition.path, name, purpose)
    status = meaning.status if trail else None
    attestation = attested("BUILD", status, name, outcome_of("build", name, result), url, identity=identity)
    return Parsed(f"build.{meaning.ending}", actor, trail, attestation, event.created_date, meaning.unknown)


def _result_of_build(build: Build) -> tuple[str | None, Meaning]:
    """Return the result of a build and what it means. In resource version 1.0, the status is the result."""
    if build.result is None and build.status != "completed":
        return build.status, _meaning("resource.status", build.status)
    return build.result, _meaning("resource.result", build.result)


def _push(body: bytes) -> Parsed:
    """Name the trail of the first branch that the push updated. Tags and deletions record nothing."""
    event = read(CodePushed, body)
    push, actor = event.resource, _name(event.resource.pushed_by)
    tips = [update for update in push.ref_updates if update.name.startswith(BRANCH) and update.new_object_id.strip("0")]
    if not tips:
        return _kept(event, actor)
    commit = tips[0].new_object_id
    written = next((pushed.author for pushed in push.commits or () if pushed.commit_id == commit), None)
    trail = _trail(commit, _branch(tips[0].name), _full_name(push.repository), actor, written)
    return Parsed("push", actor, trail, observed_at=event.created_date)


def _pull_request(body: bytes) -> Parsed:
    """Parse a pull request event. `git.pullrequest.merged` also reports test merges: only `completed` means merged."""
    event = read(PullRequestChanged, body)
    request, author = event.resource, _name(event.resource.created_by)
    action = event.event_type.rpartition(".")[2]
    if action == "merged" and request.status is None:
        raise BadDelivery("Field required", "resource.status")
    if action == "merged" and request.status != "completed":
        action = "merge_attempted"
    return Parsed(
        f"pull_request.{action}", author, _trail_of_pull_request(request, author), observed_at=event.created_date
    )


def _run(body: bytes) -> Parsed:
    event = read(RunStateChanged, body)
    run, pipeline = event.resource.run, event.resource.pipeline
    actor = _name(event.resource.requested_for)
    trail = _trail_of_run(event.resource, run.links)
    if run.state == "inProgress":
        return Parsed("build.started", actor, trail, observed_at=event.created_date)
    if run.state != "completed":
        return _kept(event, actor)
    meaning = _meaning("resource.run.result", run.result)
    details = outcome_of("pipeline", pipeline.name, run.result)
    identity = identity_of("pipeline", pipeline.folder, pipeline.name)
    status = meaning.status if trail else None
    attestation = attested("BUILD", status, pipeline.name, details, _web(run.links), identity=identity)
    return Parsed(f"build.{meaning.ending}", actor, trail, attestation, event.created_date, meaning.unknown)


def _stage(body: bytes) -> Parsed:
    event = read(StageStateChanged, body)
    return _check(event, event.resource, "stage", event.resource.stage, [event.resource.stage])


def _job(body: bytes) -> Parsed:
    event = read(JobStateChanged, body)
    return _check(event, event.resource, "job", event.resource.job, [event.resource.stage, event.resource.job])


def _check(event: Notification, run: RunOfPipeline, what: str, step: Step, titles: Sequence[Title]) -> Parsed:
    """Attest a stage or a job. The name includes the pipeline's, because most jobs are just called "Job"."""
    actor, pipeline = _name(run.requested_for), run.pipeline
    if step.state != "completed":
        return _kept(event, actor)
    meaning = _meaning(f"resource.{what}.result", step.result)
    trail = _trail_of_run(run, step.links)
    name = "/".join([pipeline.name, *(title.display_name or title.name for title in titles)])
    identity = identity_of(what, pipeline.folder, pipeline.name, *(title.name for title in titles))
    details, status = outcome_of(what, name, step.result), meaning.status if trail else None
    attestation = attested("CHECK", status, f"check/{name}", details, _web(step.links), identity=identity)
    return Parsed(f"check.{meaning.ending}", actor, trail, attestation, event.created_date, meaning.unknown)


def _deployment_started(body: bytes) -> Parsed:
    event = read(DeploymentChanged, body)
    actor = _deployer(event.resource)
    return Parsed("deployment.started", actor, _trail_of_release(event.resource), observed_at=event.created_date)


def _deployment_completed(body: bytes) -> Parsed:
    event = read(DeploymentChanged, body)
    environment = event.resource.environment
    meaning = _meaning("resource.environment.status", environment.status)
    trail = _trail_of_release(event.resource)
    details = outcome_of("deployment to", environment.name, environment.status)
    url = _web(environment.release.links) if environment.release else None
    identity = identity_of("release", _release_definition(event.resource), environment.name)
    name, status = f"deployment/{environment.name}", meaning.status if trail else None
    attestation = attested("DEPLOYMENT", status, name, details, url, identity=identity)
    actor, event_type = _deployer(event.resource), f"deployment.{meaning.ending}"
    return Parsed(event_type, actor, trail, attestation, event.created_date, meaning.unknown)


def _release_definition(deployment: Deployment) -> str | None:
    deployed = deployment.deployment.release if deployment.deployment else None
    releases = (deployment.environment, deployed, deployment.release)
    return next((one.release_definition.name for one in releases if one and one.release_definition), None)


def _kept(notification: Notification, actor: str | None = None) -> Parsed:
    return Parsed(f"azure_devops.{notification.event_type}", actor)


def _meaning(field: str, result: str | None) -> Meaning:
    if result is None:
        raise BadDelivery("Field required", field)
    return meaning_of(result, _RESULTS)


def _name(*identities: Identity | None) -> str | None:
    return next((name for who in identities if who and (name := who.display_name or who.unique_name)), None)


def _web(links: Links | None) -> str | None:
    return (links.web.href or None) if links and links.web else None


def _branch(ref: str | None) -> str | None:
    """Return the branch of a ref, which may lack `refs/heads/` in pull requests; None for other refs."""
    branch = (ref or "").removeprefix(BRANCH)
    return shown(branch) if branch and not branch.startswith("refs/") else None


def _full_name(repository: GitRepository | None) -> str | None:
    return shown(f"{repository.project.name}/{repository.name}") if repository else None


def _approver(request: PullRequest) -> str | None:
    return _name(*(r for r in request.reviewers or () if r.vote >= _APPROVING_VOTE and not r.is_container))


def _deployer(deployment: Deployment) -> str | None:
    return _name(deployment.deployment.requested_for) if deployment.deployment else None


def _trail(
    commit: str,
    branch: str | None,
    repository: str | None,
    actor: str | None,
    written: Author | None,
    *,
    build_url: str | None = None,
) -> TrailHint:
    return TrailHint(
        commit=commit,
        branch=branch,
        author=(written.name if written else None) or actor,
        author_email=(written.email if written else None) or None,
        repository=repository or None,
        build_url=build_url,
    )


def _trail_of_build(build: Build, actor: str | None) -> TrailHint | None:
    """Name the trail of the commit that was built; None for a build of TFVC or Subversion."""
    old = _SOURCE_GET_VERSION.fullmatch(build.source_get_version or "")
    commit = (build.source_version or (old[2] if old else "")).lower()
    branch, number = build.source_branch or (old[1] if old else None), None
    if build.trigger_info and build.trigger_info.pr_source_sha:
        commit = build.trigger_info.pr_source_sha
        branch, number = build.trigger_info.pr_source_branch, build.trigger_info.pr_number or None
    repository = build.repository or BuildRepository()
    # Any shorter text may be a change of other version control, even if it has digits only.
    if not is_whole(commit):
        if repository.type in _GIT:
            raise BadDelivery("must be a commit", "resource.sourceVersion")
        return None
    within = f"{build.project.name}/" if repository.type == "TfsGit" and build.project else ""
    return TrailHint(
        commit=commit,
        branch=_branch(branch),
        author=actor,
        repository=shown(f"{within}{repository.name}") if repository.name else None,
        build_url=_web(build.links),
        pull_request=number,
    )


def _trail_of_pull_request(request: PullRequest, author: str | None) -> TrailHint | None:
    """Name the trail of the request's newest commit; None if the notification does not name it."""
    if request.last_merge_source_commit is None:
        return None
    return TrailHint(
        commit=request.last_merge_source_commit.commit_id,
        branch=_branch(request.source_ref_name),
        author=author,
        repository=_full_name(request.repository),
        pull_request=str(request.pull_request_id) if request.pull_request_id else None,
        pull_request_reviewer=_approver(request),
    )


def _trail_of_run(pipeline: RunOfPipeline, links: Links | None) -> TrailHint | None:
    resources = pipeline.run.resources
    own = resources.repositories.own if resources and resources.repositories else None
    if own is None or own.version is None:
        return None
    changes = [repository.change for repository in pipeline.repositories or () if repository.change]
    written = next((change.author for change in changes if change.version == own.version), None)
    repository = own.repository.full_name if own.repository else None
    actor = _name(pipeline.requested_for)
    return _trail(own.version, _branch(own.ref_name), repository, actor, written, build_url=_web(links))


def _trail_of_release(deployment: Deployment) -> TrailHint | None:
    """Name the trail of the commit from which the release's primary artifact was built; None if it is not from git."""
    deployed = deployment.deployment.release if deployment.deployment else None
    artifacts = [
        artifact for release in (deployed, deployment.release) if release for artifact in release.artifacts or ()
    ]
    reference = next((artifact.definition_reference for artifact in artifacts if artifact.is_primary), None)
    source = reference.source_version if reference else None
    commit = (source.id or "").lower() if source else ""
    if not is_whole(commit):
        return None
    deployer = _deployer(deployment)
    return TrailHint(commit=commit, author=deployer, deployment_actor=deployer)


_READERS: Mapping[str, Callable[[bytes], Parsed]] = {
    "build.complete": _build,
    "git.push": _push,
    "git.pullrequest.created": _pull_request,
    "git.pullrequest.updated": _pull_request,
    "git.pullrequest.merged": _pull_request,
    "ms.vss-pipelines.run-state-changed-event": _run,
    "ms.vss-pipelines.stage-state-changed-event": _stage,
    "ms.vss-pipelines.job-state-changed-event": _job,
    "ms.vss-release.deployment-started-event": _deployment_started,
    "ms.vss-release.deployment-completed-event": _deployment_completed,
}
