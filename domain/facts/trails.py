"""Trails: single executions of a flow."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain.audit.events import Actor
from domain.facts.requirements import Template

UNKNOWN = "unknown"
"""The value of a mandatory field of a trail that a webhook created without it."""


class TrailStatus(StrEnum):
    """The compliance status of a trail."""

    PENDING = "PENDING"
    COMPLIANT = "COMPLIANT"
    NON_COMPLIANT = "NON_COMPLIANT"


@dataclass(frozen=True, slots=True)
class NewTrail:
    """A trail to create.

    Only webhooks set `correlation_key`, which keeps one trail per commit and flow. `template` replaces the flow's.
    """

    flow_id: UUID
    actor: Actor
    git_commit_sha: str
    git_branch: str
    git_author: str
    git_author_email: str
    name: str | None = None
    correlation_key: str | None = None
    git_repository: str | None = None
    pull_request_id: str | None = None
    pull_request_reviewer: str | None = None
    deployment_actor: str | None = None
    build_url: str | None = None
    user_data: Mapping[str, Any] | None = None
    template: Template | None = None


@dataclass(frozen=True, slots=True)
class Trail:
    """One execution of a flow."""

    id: UUID
    org_id: UUID
    flow_id: UUID
    flow_version: int
    name: str | None
    correlation_key: str | None
    git_commit_sha: str
    git_branch: str
    git_author: str
    git_author_email: str
    git_repository: str | None
    pull_request_id: str | None
    pull_request_reviewer: str | None
    deployment_actor: str | None
    build_url: str | None
    user_data: dict[str, Any] | None
    template_text: str | None
    status: TrailStatus
    status_at: datetime
    version: int
    created_at: datetime
