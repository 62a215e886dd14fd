"""Parse the notifications of Jenkins' Notification plugin.

The phases COMPLETED and FINALIZED report the same end of a build. Only FINALIZED records it:
1. it is later: steps after the build (archiving, publishers) may still turn a COMPLETED success into a failure;
2. the plugin's documentation recommends it, and it is the only phase sent to an endpoint that is configured for
   failures alone.
COMPLETED records nothing. Configure the endpoint for finalized, failed or all events.

The plugin does not name the author: its `culprits` are all people who changed something since the last success.
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote

from integrations.contract import BadDelivery, Delivery, Parsed, TrailHint
from integrations.deliveries import Meaning, attested, identity_of, meaning_of, outcome_of, read, repository_path
from integrations.generic.parse import parse as parse_generic
from integrations.jenkins.payloads import Build, Format, Notification

_JOB = re.compile(r"(^|/)job/")
_REMOTE = re.compile(r"^(?:(?:refs/remotes/)?origin/|refs/heads/)")

_RESULTS: Mapping[str, Meaning] = {
    "SUCCESS": Meaning("succeeded", "PASSED"),
    "FAILURE": Meaning("failed", "FAILED"),
    # It was built, but tests or checks failed.
    "UNSTABLE": Meaning("failed", "FAILED"),
    # The code was not checked, so there is nothing to attest; an earlier result remains valid.
    "ABORTED": Meaning("cancelled"),
    "NOT_BUILT": Meaning("skipped"),
}
"""The suffix of the event type and the attested status, by the result of a build."""


def parse(delivery: Delivery, /) -> Parsed:
    """Parse one notification; phases that record nothing become `jenkins.<phase>`.

    A body without `build` is in Trailgate's generic format. Raises BadDelivery, naming the field.
    """
    if read(Format, delivery.body).build is None:
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
        raise BadDelivery("is required for a finalized build", "build.status")
    meaning = meaning_of(build.status, _RESULTS)
    name, trail = _full_name(notification), _trail(build)
    details = outcome_of("build", f"{name} #{build.number}" if build.number else name, build.status)
    identity = identity_of("job", _address(notification) or name)
    status = meaning.status if trail else None
    attestations = attested("BUILD", status, name, details, build.full_url, identity=identity)
    return Parsed(f"build.{meaning.ending}", None, trail, attestations, build.timestamp, meaning.unknown)


def _full_name(notification: Notification) -> str:
    """Return the job with its folders: the bare name of a multibranch job would only be its branch."""
    path = unquote(_JOB.sub(r"\1", (notification.url or "").strip("/")))
    name = path or notification.name
    if not name:
        raise BadDelivery("Field required", "url")
    return name


def _address(notification: Notification) -> str | None:
    """Return the web address of the job, which tells the jobs of several Jenkins apart; its path if that is unknown."""
    build, path = notification.build, notification.url
    if path and build.full_url and build.url and build.full_url.endswith(build.url):
        return build.full_url.removesuffix(build.url) + path
    return path


def _trail(build: Build) -> TrailHint | None:
    """Name the trail of the commit that was checked out; None for a build without one (not yet, or not git)."""
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
    """Remove the name of the remote; None for `detached`, which the git plugin writes if there is no branch."""
    branch = _REMOTE.sub("", name or "")
    return branch if branch not in {"", "detached"} else None
