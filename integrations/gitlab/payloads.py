"""The parts of GitLab's webhook payloads that Trailgate reads, under their original names."""

# ruff: noqa: D101 - GitLab documents these names

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from integrations.deliveries import Commit, Payload, Text, Url, VendorTime, Word

_BEFORE_ZONE = re.compile(r" (?=[+-]\d{4}$)")


def _iso(value: object) -> object:
    """Convert `2026-03-03 10:00:00 UTC` and `2026-03-03 11:00:00 +0100` to ISO 8601."""
    return _BEFORE_ZONE.sub("", value.replace(" UTC", "Z")) if isinstance(value, str) else value


def _public(value: object) -> object:
    return None if value == "[REDACTED]" else value


Time = Annotated[VendorTime, BeforeValidator(_iso)]
Email = Annotated[Text | None, BeforeValidator(_public)]
"""An e-mail address; None if its owner hides it, for which GitLab writes `[REDACTED]`."""
Id = Annotated[int, Field(ge=1, lt=2**63)]


class Kind(Payload):
    """The fields that name the event: `object_kind`, or only `event_name` in some events of groups and systems."""

    object_kind: Word | None = None
    event_name: Word | None = None


class User(Payload):
    username: Text | None = None


class Project(Payload):
    path_with_namespace: Text
    web_url: Url | None = None


class Author(Payload):
    """The author of a commit according to git."""

    name: Text | None = None
    email: Email = None


class CommitAttributes(Payload):
    id: Commit
    author: Author | None = None


class Event(Payload):
    """The fields of most payloads. Pushes and releases have no user; jobs of old GitLab versions have no project."""

    project: Project | None = None
    user: User | None = None


class Pipeline(Payload):
    id: Id
    name: Text | None = None
    """From `workflow:name`, where a project sets one (since GitLab 16.1)."""
    source: Text | None = None
    ref: Text | None = None
    tag: bool = False
    sha: Commit
    status: Word
    url: Url | None = None
    created_at: Time = None
    finished_at: Time = None


class PipelineMergeRequest(Payload):
    iid: Id
    source_branch: Text | None = None


class PipelineEvent(Event):
    object_attributes: Pipeline
    merge_request: PipelineMergeRequest | None = None
    commit: CommitAttributes | None = None


class JobCommit(Payload):
    """The commit of a job. Its `id`, not read here, is that of the pipeline."""

    author_name: Text | None = None
    author_email: Email = None


class JobEvent(Event):
    ref: Text | None = None
    tag: bool = False
    sha: Commit
    build_id: Id
    build_name: Text
    build_status: Word
    build_allow_failure: bool = False
    build_created_at: Time = None
    build_finished_at: Time = None
    commit: JobCommit | None = None


class MergeRequest(Payload):
    iid: Id
    action: Word | None = None
    source_branch: Text
    updated_at: Time = None
    last_commit: CommitAttributes | None = None


class MergeRequestEvent(Event):
    object_attributes: MergeRequest


class PushEvent(Event):
    ref: Text
    after: Commit
    user_username: Text | None = None
    commits: tuple[CommitAttributes, ...] = ()


class DeploymentEvent(Event):
    status: Word
    status_changed_at: Time = None
    deployable_url: Url | None = None
    environment: Text
    short_sha: Commit
    commit_url: Url | None = None


class ReleaseEvent(Event):
    action: Word
    created_at: Time = None
    commit: CommitAttributes | None = None
