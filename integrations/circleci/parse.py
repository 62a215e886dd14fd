"""Parse CircleCI's events, by CircleCI's "Outbound webhooks reference"."""

from collections.abc import Callable, Mapping

from integrations.circleci.payloads import (
    Event,
    JobCompleted,
    Pipeline,
    Provider,
    Status,
    VcsCommit,
    WorkflowCompleted,
)
from integrations.contract import Delivery, Parsed, TrailHint
from integrations.deliveries import Author, attested, read, repository_path
from integrations.generic.parse import parse as parse_generic

_OUTCOMES: Mapping[Status, tuple[str, str | None]] = {
    "success": ("succeeded", "PASSED"),
    "failed": ("failed", "FAILED"),
    # The configuration or CircleCI itself failed: the code did not pass.
    "error": ("failed", "FAILED"),
    "timedout": ("failed", "FAILED"),
    "infrastructure_fail": ("failed", "FAILED"),
    # A person with access to its secrets has yet to start it: not decided, but nothing may pass until then.
    "unauthorized": ("unauthorized", "PENDING"),
    # The code was not checked, so there is nothing to attest; an earlier result remains valid.
    "canceled": ("cancelled", None),
}
"""The suffix of the event type and the attested status, by status. An unknown status is refused, never a pass."""


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
    return _completed(event, status, prefix="build", kind="BUILD", name=name, what=f"workflow {name}")


def _job_completed(body: bytes) -> Parsed:
    event = read(JobCompleted, body)
    name, status = event.job.name, event.job.status
    # With the prefix, the result of a job cannot replace that of a workflow with the same name.
    return _completed(event, status, prefix="check", kind="CHECK", name=f"check/{name}", what=f"job {name}")


def _completed(event: Event, status: Status, *, prefix: str, kind: str, name: str, what: str) -> Parsed:
    """Parse a completion. The evidence URL of a job is its workflow's, because the payload has no URL of the job."""
    ending, result = _OUTCOMES[status]
    url = event.workflow.url or None
    trail = _trail(event.pipeline, url)
    attestations = attested(kind, result if trail else None, name, f"{what}: {status}", url)
    actor = _provider(event.pipeline).user_username or None
    return Parsed(f"{prefix}.{ending}", actor, trail, attestations, event.happened_at)


def _trail(pipeline: Pipeline, build_url: str | None) -> TrailHint | None:
    """Name the trail of the commit that was built; None for a pipeline without a commit."""
    if pipeline.vcs:
        commit, branch, address = pipeline.vcs.revision, pipeline.vcs.branch, pipeline.vcs.target_repository_url
    else:
        git = pipeline.trigger_parameters.git
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
    parameters = pipeline.trigger_parameters
    return parameters.gitlab or parameters.github_app or Provider()


_READERS: Mapping[str, Callable[[bytes], Parsed]] = {
    "workflow-completed": _workflow_completed,
    "job-completed": _job_completed,
    "ping": lambda _body: Parsed("ping"),
}
