"""The parts of GitLab's webhook payloads that Trailgate reads, under their original names."""

# ruff: noqa: D101 - GitLab documents these names

import re
from typing import Annotated

from pydantic import BeforeValidator

from integrations.deliveries import Commit, Id, Maybe, Payload, Shown, State, Url, VendorTime, Word

_BEFORE_ZONE = re.compile(r" (?=[+-]\d{4}$)")


def _iso(value: object) -> object:
    """Convert `2026-03-03 10:00:00 UTC` and `2026-03-03 11:00:00 +0100` to ISO 8601."""
    return _BEFORE_ZONE.sub("", value.replace(" UTC", "Z")) if isinstance(value, str) else value


def _public(value: object) -> object:
    return None if value == "[REDACTED]" else value


Time = Annotated[VendorTime, BeforeValidator(_iso)]
Email = Annotated[Maybe[Shown], BeforeValidator(_public)]
"""An e-mail address; None if its owner hides it, for which GitLab writes `[REDACTED]`."""


class Kind(Payload):
    """The fields that name the event: `object_kind`, or only `event_name` in some events of groups and systems."""

    object_kind: Word | None = None
    event_name: Word | None = None


class User(Payload):
    username: Maybe[Shown] = None


class Project(Payload):
    path_with_namespace: Maybe[Shown] = None
    web_url: Maybe[Url] = None


class Author(Payload):
    """The author of a commit according to git."""

    name: Maybe[Shown] = None
    email: Email = None


class CommitAttributes(Payload):
    """A commit; GitLab also sends `{}` for one that it cannot find."""

    id: Commit | None = None
    author: Maybe[Author] = None


class Event(Payload):
    """The fields of most payloads. Pushes and releases have no user; jobs of old GitLab versions have no project."""

    project: Maybe[Project] = None
    user: Maybe[User] = None


class SourcePipeline(Payload):
    """What started a pipeline: the trigger job `job_id` of another pipeline, in this project or another one."""

    project: Maybe[Project] = None
    pipeline_id: Maybe[Id] = None
    job_id: Maybe[Id] = None


class Pipeline(Payload):
    id: Id
    name: Maybe[str] = None
    """From `workflow:name`, where a project sets one (since GitLab 16.1)."""
    source: Maybe[str] = None
    ref: Maybe[Shown] = None
    tag: Maybe[bool] = None
    sha: Commit
    status: State
    url: Maybe[Url] = None
    created_at: Time = None
    finished_at: Time = None


class PipelineMergeRequest(Payload):
    iid: Maybe[Id] = None
    source_branch: Maybe[Shown] = None


class PipelineEvent(Event):
    object_attributes: Pipeline
    merge_request: Maybe[PipelineMergeRequest] = None
    commit: Maybe[CommitAttributes] = None
    source_pipeline: Maybe[SourcePipeline] = None


class JobCommit(Payload):
    """The commit of a job. Its `id`, not read here, is that of the pipeline."""

    author_name: Maybe[Shown] = None
    author_email: Email = None


class JobEvent(Event):
    ref: Maybe[Shown] = None
    tag: Maybe[bool] = None
    sha: Commit
    pipeline_id: Maybe[Id] = None
    build_id: Maybe[Id] = None
    build_name: str
    build_stage: Maybe[str] = None
    build_status: State
    build_allow_failure: Maybe[bool] = None
    build_created_at: Time = None
    build_finished_at: Time = None
    commit: Maybe[JobCommit] = None
    source_pipeline: Maybe[SourcePipeline] = None


class MergeRequest(Payload):
    iid: Maybe[Id] = None
    action: Word | None = None
    source_branch: Maybe[Shown] = None
    updated_at: Time = None
    last_commit: CommitAttributes | None = None


class MergeRequestEvent(Event):
    object_attributes: MergeRequest


class PushEvent(Event):
    ref: str
    after: Commit
    user_username: Maybe[Shown] = None
    commits: Maybe[tuple[CommitAttributes, ...]] = None


class DeploymentEvent(Event):
    status: State
    status_changed_at: Time = None
    deployable_url: Maybe[Url] = None
    environment: str
    short_sha: Commit
    commit_url: Maybe[Url] = None


class ReleaseEvent(Event):
    action: Word
    created_at: Time = None
    commit: CommitAttributes | None = None
