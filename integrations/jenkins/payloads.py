"""The parts of the Jenkins Notification plugin's JSON that Trailgate reads, under their original names."""

# ruff: noqa: D101 - the plugin documents these names

from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, StringConstraints

from integrations.deliveries import Address, Commit, Id, Maybe, Payload, Shown, State, Text, Url

Phase = Annotated[str, StringConstraints(pattern=r"^[A-Z_]{1,64}$")]
"""The phase of the build; it becomes part of Trailgate's event type."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _time_if_readable(value: object) -> datetime | None:
    try:
        return _EPOCH + timedelta(milliseconds=value) if type(value) is int else None
    except OverflowError:
        return None


Milliseconds = Annotated[datetime | None, BeforeValidator(_time_if_readable)]
"""A time as milliseconds since 1970; None if it cannot be read, so that the event is not lost."""


class BuildState(Payload):
    """The fields that identify a notification, the same in every attempt."""

    full_url: Url | None = None
    """Absent if Jenkins' own URL is not configured."""
    url: Address
    """The path of the job and the build's number, relative to Jenkins."""
    queue_id: int | None = None
    phase: Phase
    status: Text | None = None


class Notified(Payload):
    """Any body. One without a build was not sent by the plugin."""

    build: BuildState | None = None


class Format(Payload):
    """Any body, read only as far as to tell whether the plugin sent it."""

    build: object = None


class Scm(Payload):
    """The source of a build; empty before the checkout, and if it is not git."""

    url: Maybe[Address] = None
    branch: Maybe[Shown] = None
    commit: Commit | None = None


class Build(Payload):
    full_url: Maybe[Url] = None
    url: Maybe[str] = None
    number: Maybe[Id] = None
    timestamp: Milliseconds = None
    phase: Phase
    status: State | None = None
    scm: Scm | None = None


class Notification(Payload):
    name: Maybe[str] = None
    url: Maybe[str] = None
    """The path of the job, relative to Jenkins, such as `job/parcels/job/tracker/`."""
    build: Build
