"""What a trail is, and how its status follows from the newest result of each key (facts.md 5, ARCHITECTURE.md 4.3)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain.audit import Actor
from domain.facts.attestations import ResultStatus

UNKNOWN = "unknown"
"""What a webhook's trail carries where the sender told nothing (integrations.md 14.3)."""


class TrailStatus(StrEnum):
    """The verdict on one execution of a flow."""

    PENDING = "PENDING"
    COMPLIANT = "COMPLIANT"
    NON_COMPLIANT = "NON_COMPLIANT"


@dataclass(frozen=True, slots=True)
class NewTrail:
    """A trail as it is asked for. `correlation_key` is set by webhooks alone: one trail per commit and flow."""

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
    status: TrailStatus
    status_at: datetime
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Requirements:
    """What the trail's pinned flow version asks for."""

    types: tuple[str, ...]
    approval: bool


@dataclass(frozen=True, slots=True)
class Head:
    """The newest result of one key of a trail."""

    type: str
    status: ResultStatus


def trail_status(requirements: Requirements, heads: Iterable[Head]) -> TrailStatus:
    """The verdict, from nothing but its inputs.

    Any newest FAILED makes it NON_COMPLIANT. It is COMPLIANT when something passed, every required type has a newest
    PASSED and no approval is outstanding; approvals do not exist yet, so a flow that asks for one stays PENDING.
    """
    statuses: dict[str, set[ResultStatus]] = {}
    for head in heads:
        statuses.setdefault(head.type, set()).add(head.status)
    if any(ResultStatus.FAILED in found for found in statuses.values()):
        return TrailStatus.NON_COMPLIANT
    passed = {kind for kind, found in statuses.items() if found == {ResultStatus.PASSED}}
    if passed and passed.issuperset(requirements.types) and not requirements.approval:
        return TrailStatus.COMPLIANT
    return TrailStatus.PENDING
