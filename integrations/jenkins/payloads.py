"""The parts of the Jenkins Notification plugin's JSON that we read, named as the plugin names them."""

# ruff: noqa: D101 - the names are the plugin's, and so is their description

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, StringConstraints

from integrations.deliveries import Address, Commit, Payload, Text, Url

Result = Literal["SUCCESS", "FAILURE", "UNSTABLE", "ABORTED", "NOT_BUILT"]

Phase = Annotated[str, StringConstraints(pattern=r"^[A-Z_]{1,64}$")]
"""Where in its life the build is; it becomes part of our event's name."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _time_if_readable(value: object) -> datetime | None:
    try:
        return _EPOCH + timedelta(milliseconds=value) if type(value) is int else None
    except OverflowError:
        return None


Milliseconds = Annotated[datetime | None, BeforeValidator(_time_if_readable)]
"""A time as milliseconds since 1970; one that cannot be read is no reason to lose the event."""


class BuildState(Payload):
    """What tells one notification from all others, whatever the number of times it is sent."""

    full_url: Url | None = None
    """Absent where nobody told Jenkins its own address."""
    url: Address
    """Relative to Jenkins: the job's, and the build's number."""
    queue_id: int | None = None
    phase: Phase
    status: Text | None = None


class Notified(Payload):
    """Any body; without a build it is none of the plugin's."""

    build: BuildState | None = None


class Scm(Payload):
    """Empty before the checkout, and for whatever is not git."""

    url: Address | None = None
    branch: Text | None = None
    commit: Commit | None = None


class Build(BuildState):
    number: int
    timestamp: Milliseconds = None
    status: Result | None = None
    scm: Scm | None = None


class Notification(Payload):
    name: Text
    url: Address
    """The job's, relative to Jenkins, such as `job/parcels/job/tracker/`."""
    build: Build
