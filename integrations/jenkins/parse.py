"""What the notifications of Jenkins' Notification plugin mean to us (integrations.md 14).

The phases COMPLETED and FINALIZED tell of the same end of a build. FINALIZED is the one that records:
1. it is the later one: what runs after the build (archiving, publishers) may still turn a COMPLETED success around;
2. it is the one that the plugin's documents recommend, and the only one that it sends to an endpoint configured for
   failures alone.
COMPLETED is kept and records nothing. An endpoint must be configured for finalized, failed or all events.

The plugin names nobody: its `culprits` are all who changed something since the last success, so none of them is taken
for the author.
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote

from integrations.contract import BadDelivery, Delivery, Parsed, TrailHint
from integrations.deliveries import attested, read, repository_path
from integrations.generic.parse import parse as parse_generic
from integrations.jenkins.payloads import Build, Notification, Notified, Result

_JOB = re.compile(r"(^|/)job/")
_REMOTE = re.compile(r"^(?:(?:refs/remotes/)?origin/|refs/heads/)")
_MAX_NAME = 255

_OUTCOMES: Mapping[Result, tuple[str, str | None]] = {
    "SUCCESS": ("succeeded", "PASSED"),
    "FAILURE": ("failed", "FAILED"),
    # It was built, but tests or checks failed.
    "UNSTABLE": ("failed", "FAILED"),
    # Nobody looked at the code, so there is nothing to attest; an earlier result stands.
    "ABORTED": ("cancelled", None),
    "NOT_BUILT": ("skipped", None),
}
"""How our event ends and which status it attests. A result not listed here is refused, never taken for a pass."""


def parse(delivery: Delivery, /) -> Parsed:
    """Read one notification; phases that record nothing become `jenkins.<phase>`.

    A body without `build` is in our own format (integrations.md 14.2). Raises BadDelivery naming the field.
    """
    if read(Notified, delivery.body).build is None:
        return parse_generic(delivery)
    notification = read(Notification, delivery.body)
    build = notification.build
    if build.phase == "STARTED":
        return Parsed("build.started", None, _trail(build), observed_at=build.timestamp)
    if build.phase == "FINALIZED":
        return _finalized(notification)
    return Parsed(f"jenkins.{build.phase.lower()}")


def _finalized(notification: Notification) -> Parsed:
    build = notification.build
    if build.status is None:
        raise BadDelivery("build.status: a finalized build has one", "build.status")
    ending, status = _OUTCOMES[build.status]
    name = _full_name(notification)
    details = f"build {name} #{build.number}: {build.status}"
    trail = _trail(build)
    attestations = attested("BUILD", status if trail else None, name, details, build.full_url)
    return Parsed(f"build.{ending}", None, trail, attestations, build.timestamp)


def _full_name(notification: Notification) -> str:
    """The folders and the job, as Jenkins joins them: the bare name of a multibranch job is no more than its branch."""
    path = unquote(_JOB.sub(r"\1", notification.url.strip("/"))).replace("\0", "")
    return path[-_MAX_NAME:] or notification.name


def _trail(build: Build) -> TrailHint | None:
    """By the commit that was checked out; a build without one (not yet, or no git) belongs to no trail."""
    scm = build.scm
    if scm is None or scm.commit is None:
        return None
    return TrailHint(
        commit=scm.commit,
        branch=_branch(scm.branch),
        repository=repository_path(scm.url),
        build_url=build.full_url or None,
    )


def _branch(name: str | None) -> str | None:
    """Without the name of the remote; `detached` is the git plugin's word for no branch."""
    branch = _REMOTE.sub("", name or "")
    return branch if branch not in {"", "detached"} else None
