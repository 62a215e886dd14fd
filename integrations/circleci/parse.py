"""Parse CircleCI's events, by CircleCI's "Outbound webhooks reference"."""

from collections.abc import Callable, Mapping

from integrations.circleci.payloads import (
    Event,
    Git,
    JobCompleted,
    Pipeline,
    Provider,
    TriggerParameters,
    VcsCommit,
    WorkflowCompleted,
)
from integrations.contract import Delivery, Parsed, TrailHint
from integrations.deliveries import (
    Author,
    Meaning,
    attested,
    identity_of,
    meaning_of,
    outcome_of,
    read,
    repository_path,
)
from integrations.generic.parse import parse as parse_generic

_STATUSES: Mapping[str, Meaning] = {
    "success": Meaning("succeeded", "PASSED"),
    "failed": Meaning("failed", "FAILED"),
    # The configuration or CircleCI itself failed: the code did not pass.
    "error": Meaning("failed", "FAILED"),
    "timedout": Meaning("failed", "FAILED"),
    "infrastructure_fail": Meaning("failed", "FAILED"),
    "terminated-unknown": Meaning("failed", "FAILED"),
    # A person with access to its secrets has yet to start it: not decided, but nothing may pass until then.
    "unauthorized": Meaning("unauthorized", "PENDING"),
    # The code was not checked, so there is nothing to attest; an earlier result remains valid.
    "canceled": Meaning("cancelled"),
    "not_run": Meaning("skipped"),
}
"""The suffix of the event type and the attested status, by the status of a completed workflow or job."""


def parse(delivery: Delivery, /) -> Parsed:
    """Parse one event; unknown ones become `circleci.<type>` and record nothing.

    A delivery without an event is in Trailgate's generic format, which OpenFactstore's clients send to all sources but
    GitHub. Raises BadDelivery, naming the field.
    """
    if delivery.event is None:
        return parse_generic(delivery)
    reader = _READERS.get(delivery.event)
    return reader(delivery.body) if reader else Parsed(f"circleci.{delivery.event}")


def _workflow_completed(body: bytes) -> Parsed:
    event = read(WorkflowCompleted, body)
    name, status = event.workflow.name, event.workflow.status
    details, identity = outcome_of("workflow", name, status), identity_of("workflow", name)
    return _completed(event, status, prefix="build", kind="BUILD", name=name, details=details, identity=identity)


def _job_completed(body: bytes) -> Parsed:
    event = read(JobCompleted, body)
    job, status = event.job.name, event.job.status
    details, identity = outcome_of("job", job, status), identity_of("job", event.workflow.name, job)
    # A job may have its workflow's name: the prefix tells people which of the two it is.
    name = f"check/{job}"
    return _completed(event, status, prefix="check", kind="CHECK", name=name, details=details, identity=identity)


def _completed(event: Event, status: str, *, prefix: str, kind: str, name: str, details: str, identity: str) -> Parsed:
    """Parse a completion. The evidence URL of a job is its workflow's, because the payload has no URL of the job."""
    meaning = meaning_of(status, _STATUSES)
    url = event.workflow.url or None
    trail = _trail(event.pipeline, url)
    attestations = attested(kind, meaning.status if trail else None, name, details, url, identity=identity)
    actor = _provider(event.pipeline).user_username or None
    return Parsed(f"{prefix}.{meaning.ending}", actor, trail, attestations, event.happened_at, meaning.unknown)


def _trail(pipeline: Pipeline, build_url: str | None) -> TrailHint | None:
    """Name the trail of the commit that was built; None for a pipeline without a commit."""
    if pipeline.vcs:
        commit, branch, address = pipeline.vcs.revision, pipeline.vcs.branch, pipeline.vcs.target_repository_url
    else:
        git = (pipeline.trigger_parameters or TriggerParameters()).git or Git()
        commit, branch, address = git.checkout_sha, git.branch, git.checkout_url
    if commit is None:
        return None
    author = _author(pipeline)
    return TrailHint(
        commit=commit,
        branch=branch or None,
        author=author.name or None,
        author_email=author.email or None,
        repository=repository_path(address),
        build_url=build_url,
    )


def _author(pipeline: Pipeline) -> Author:
    if pipeline.vcs:
        return (pipeline.vcs.commit or VcsCommit()).author or Author()
    provider = _provider(pipeline)
    return Author(name=provider.commit_author_name or provider.user_username, email=provider.commit_author_email)


def _provider(pipeline: Pipeline) -> Provider:
    parameters = pipeline.trigger_parameters or TriggerParameters()
    return parameters.gitlab or parameters.github_app or Provider()


_READERS: Mapping[str, Callable[[bytes], Parsed]] = {
    "workflow-completed": _workflow_completed,
    "job-completed": _job_completed,
    "ping": lambda _body: Parsed("ping"),
}
