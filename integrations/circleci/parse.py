"""What CircleCI's events mean to us (integrations.md 14, CircleCI's "Outbound webhooks reference")."""

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
    # The configuration or CircleCI itself broke: the code was not found good.
    "error": ("failed", "FAILED"),
    # Somebody with the right to its secrets has yet to start it: no verdict, but nothing may pass meanwhile.
    "unauthorized": ("unauthorized", "PENDING"),
    # Nobody looked at the code, so there is nothing to attest; an earlier result stands.
    "canceled": ("cancelled", None),
}
"""How our event ends and which status it attests. A status not listed here is refused, never taken for a pass."""


def parse(delivery: Delivery, /) -> Parsed:
    """Read one event; those we do not know become `circleci.<type>` with nothing to record.

    A delivery whose proof named no event is in our own format (integrations.md 14.2). Raises BadDelivery naming the
    field.
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
    # Under its bare name the result of a job would hide that of a workflow of the same name.
    return _completed(event, status, prefix="check", kind="CHECK", name=f"check/{name}", what=f"job {name}")


def _completed(event: Event, status: Status, *, prefix: str, kind: str, name: str, what: str) -> Parsed:
    """What ended. The evidence of a job is its workflow's address as well: the payload has none of the job."""
    ending, result = _OUTCOMES[status]
    url = event.workflow.url or None
    trail = _trail(event.pipeline, url)
    attestations = attested(kind, result if trail else None, name, f"{what}: {status}", url)
    actor = _provider(event.pipeline).user_username or None
    return Parsed(f"{prefix}.{ending}", actor, trail, attestations, event.happened_at)


def _trail(pipeline: Pipeline, build_url: str | None) -> TrailHint | None:
    """By the commit that was built; a pipeline that was started without any belongs to no trail."""
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
