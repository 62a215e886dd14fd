"""Trails on the wire (facts.md 5)."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

from api.http.calls import Call, Header
from api.http.paging import ListQuery, PageQuery
from api.http.problems import invalid_fields
from api.http.texts import Name, Short, Url
from api.http.wire import Instant, WireIn, WireModel, shows
from domain.audit.events import Actor
from domain.errors import FieldError
from domain.facts.ci import CiContext
from domain.facts.requirements import Template
from domain.facts.trails import UNKNOWN, NewTrail, Trail, TrailStatus

NUMBER = re.compile(r"[0-9]{1,18}")
"""What a client's 64 bits hold."""
Email = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^@\s]+@[^@\s]+$")]
CiHeader = Annotated[str | None, Header("X-Factstore-CI-Context")]
"""The CI system that tells what the body does not: `github-actions`, `gitlab-ci`, `jenkins`, … (facts.md 5.3)."""
StatusFilter = Annotated[
    Literal["PENDING", "COMPLIANT", "NON_COMPLIANT", "IN_PROGRESS"] | None,
    Field(description="IN_PROGRESS is another word for PENDING (C04)"),
]

_GIT = ("git_commit_sha", "git_branch", "git_author", "git_author_email", "build_url")


class TrailIn(WireIn):
    """A trail to be opened.

    The git data may be left to the CI system that X-Factstore-CI-Context names: its variables are read from
    `ciEnvironment`, or from the server's own environment where that is absent. `pullRequestNumber` is the other form of
    `pullRequestId` (C03). A template of its own stands in the place of the flow's.
    """

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "flowId": "0190a8c0-0000-7000-8000-000000000001",
                    "gitCommitSha": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
                    "gitBranch": "main",
                    "gitAuthor": "Ada Lovelace",
                    "gitAuthorEmail": "ada@example.com",
                },
                {
                    "flowId": "0190a8c0-0000-7000-8000-000000000001",
                    "pullRequestNumber": 42,
                    "ciEnvironment": {
                        "GITHUB_SHA": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
                        "GITHUB_REF_NAME": "main",
                        "GITHUB_ACTOR": "ada",
                    },
                },
            ]
        }
    }

    flow_id: UUID
    git_commit_sha: Name | None = None
    git_branch: Name | None = None
    git_author: Name | None = None
    git_author_email: Email | None = None
    ci_environment: Annotated[dict[str, str], Field(description="Variables of the CI run, by name")] = {}
    pull_request_id: Short | None = None
    pull_request_number: Annotated[int, Field(strict=True, ge=0)] | None = None
    pull_request_reviewer: Short | None = None
    deployment_actor: Short | None = None
    org_slug: Short | None = None
    build_url: Url | None = None
    name: Name | None = None
    template_yaml: Annotated[str, Field(description="YAML of at most 64 KiB (facts.md 8.3)")] | None = None

    @model_validator(mode="after")
    def _one_pull_request(self) -> "TrailIn":
        text, number = self.pull_request_id, self.pull_request_number
        if text is not None and number is not None and text != str(number):
            raise ValueError("pullRequestId and pullRequestNumber differ; give one of them")
        return self

    def to_command(self, actor: Actor, context: CiContext | None, template: Template | None) -> NewTrail:
        """What the command takes. Raises Invalid, naming what neither the body nor the CI context tells."""
        number = self.pull_request_number
        return NewTrail(
            flow_id=self.flow_id,
            actor=actor,
            **self._git_data(context),
            name=self.name,
            pull_request_id=self.pull_request_id if number is None else str(number),
            pull_request_reviewer=self.pull_request_reviewer,
            deployment_actor=self.deployment_actor,
            template=template,
        )

    def _git_data(self, context: CiContext | None) -> dict[str, Any]:
        """The body wins. Few CI systems tell who the author is (C05)."""
        told = {name: getattr(self, name) for name in _GIT}
        if context is not None:
            told = {name: getattr(context, name) if value is None else value for name, value in told.items()}
            told["git_author"] = told["git_author"] or UNKNOWN
            told["git_author_email"] = told["git_author_email"] or UNKNOWN
        missing = [name for name in _GIT if told[name] is None and name != "build_url"]
        if missing:
            reason = "neither the body nor a CI context tells it"
            raise invalid_fields(FieldError(str(TrailIn.model_fields[name].alias), reason) for name in missing)
        return told


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
    template_yaml: str | None = shows("template_text")
    build_url: str | None
    created_at: Instant
    updated_at: Instant = shows("status_at")

    @classmethod
    def of(cls, trail: Trail, call: Call) -> Self:
        """With the number that the pull request's id is, where it is one."""
        pull_request = trail.pull_request_id
        number = int(pull_request) if pull_request and NUMBER.fullmatch(pull_request) else None
        return cls.filled(trail, pull_request_number=number, org_slug=call.tenant.org_slug)


class _TrailFilters(WireIn):
    status: StatusFilter = None
    name: Annotated[Short | None, Field(description="Exactly this name")] = None

    def to_filters(self) -> Mapping[str, Any]:
        """What the query is narrowed to; `IN_PROGRESS` is our PENDING."""
        status = TrailStatus.PENDING if self.status == "IN_PROGRESS" else self.status and TrailStatus(self.status)
        return {"status": status, "name": self.name}


class FlowTrailsQuery(_TrailFilters, PageQuery):
    """Which trails of a flow."""


class TrailsQuery(_TrailFilters, ListQuery):
    """Which trails: of a flow, of a commit, of a status or name, or all."""

    flow_id: UUID | None = None
    git_commit_sha: Short | None = None

    def to_filters(self) -> Mapping[str, Any]:
        """What the query is narrowed to."""
        return {**super().to_filters(), "flow_id": self.flow_id, "commit": self.git_commit_sha}
