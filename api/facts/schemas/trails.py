"""Trails on the wire (facts.md 5)."""

import re
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from api.facts.schemas.paging import ListQuery
from api.facts.schemas.texts import Name, Short, Url, refuse_template
from api.wire import Instant, WireIn, WireModel
from domain.audit import Actor
from domain.facts.trails import NewTrail, Trail, TrailStatus

NUMBER = re.compile(r"[0-9]{1,18}")
"""What a client's 64 bits hold."""
Email = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^@\s]+@[^@\s]+$")]


class TrailIn(WireIn):
    """A trail to be opened. `pullRequestNumber` is the other form of `pullRequestId` (C03)."""

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "flowId": "0190a8c0-0000-7000-8000-000000000001",
                    "gitCommitSha": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
                    "gitBranch": "main",
                    "gitAuthor": "Ada Lovelace",
                    "gitAuthorEmail": "ada@example.com",
                }
            ]
        }
    }

    flow_id: UUID
    git_commit_sha: Name
    git_branch: Name
    git_author: Name
    git_author_email: Email
    pull_request_id: Short | None = None
    pull_request_number: Annotated[int, Field(strict=True, ge=0)] | None = None
    pull_request_reviewer: Short | None = None
    deployment_actor: Short | None = None
    org_slug: Short | None = None
    build_url: Url | None = None
    name: Name | None = None
    template_yaml: str | None = None

    @model_validator(mode="after")
    def _one_pull_request(self) -> "TrailIn":
        text, number = self.pull_request_id, self.pull_request_number
        if text is not None and number is not None and text != str(number):
            raise ValueError("pullRequestId and pullRequestNumber differ; give one of them")
        return self

    def trail(self, actor: Actor) -> NewTrail:
        """Raises Rejected for a template, as flows do."""
        refuse_template(self.template_yaml)
        number = self.pull_request_number
        return NewTrail(
            flow_id=self.flow_id,
            actor=actor,
            git_commit_sha=self.git_commit_sha,
            git_branch=self.git_branch,
            git_author=self.git_author,
            git_author_email=self.git_author_email,
            name=self.name,
            pull_request_id=self.pull_request_id if number is None else str(number),
            pull_request_reviewer=self.pull_request_reviewer,
            deployment_actor=self.deployment_actor,
            build_url=self.build_url,
        )


class TrailOut(WireModel):
    """A trail: one execution of a flow. `pullRequestNumber` is null when the id is not a number."""

    id: UUID
    flow_id: UUID
    flow_version: int
    name: str | None
    git_commit_sha: str
    git_branch: str
    git_author: str
    git_author_email: str
    git_repository: str | None
    pull_request_id: str | None
    pull_request_number: int | None
    pull_request_reviewer: str | None
    deployment_actor: str | None
    status: TrailStatus
    org_slug: str
    template_yaml: str | None
    build_url: str | None
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, trail: Trail, org_slug: str) -> "TrailOut":
        """A trail of the caller's organisation."""
        fields: dict[str, Any] = {name: getattr(trail, name) for name in cls.model_fields if hasattr(trail, name)}
        pull_request = trail.pull_request_id
        number = int(pull_request) if pull_request and NUMBER.fullmatch(pull_request) else None
        return cls(
            **fields, org_slug=org_slug, template_yaml=None, updated_at=trail.status_at, pull_request_number=number
        )


class TrailsQuery(ListQuery):
    """Which trails: of a flow, of a commit, or all."""

    flow_id: UUID | None = None
    git_commit_sha: Short | None = None
