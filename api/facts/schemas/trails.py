"""Request and response models of trails."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

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
"""A decimal number that fits into 64 bits."""


def _written(number: Any) -> Any:
    return str(number) if isinstance(number, int) and not isinstance(number, bool) else number


NumberOrShort = Annotated[Short, BeforeValidator(_written, json_schema_input_type=int | Short)]
"""A short text, or a number in its place."""
Email = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^@\s]+@[^@\s]+$")]
CiHeader = Annotated[str | None, Header("X-Factstore-CI-Context")]
"""The CI system whose variables fill fields missing in the body: `github-actions`, `gitlab-ci`, `jenkins`, …"""
StatusFilter = Annotated[
    Literal["PENDING", "COMPLIANT", "NON_COMPLIANT", "IN_PROGRESS"] | None,
    Field(description="IN_PROGRESS is an alternative name for PENDING"),
]

_GIT = ("git_commit_sha", "git_branch", "git_author", "git_author_email", "build_url", "git_repository")
_OPTIONAL_GIT = {"build_url", "git_repository"}


class TrailIn(WireIn):
    """A new trail.

    Missing git data is filled from the CI system that `X-Factstore-CI-Context` names: its variables are read from
    `ciEnvironment` or, if that is absent, from the server's own environment. A missing `gitAuthorEmail` becomes
    `unknown`. `pullRequestNumber` is an alternative to `pullRequestId`. A template given here replaces the template of
    the flow.
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
    git_repository: Annotated[
        Name | None, Field(description="Such as `acme/app`, as webhooks and `repo:` scopes of keys name it")
    ] = None
    ci_environment: Annotated[dict[str, str], Field(description="Variables of the CI run, by name")] = {}
    pull_request_id: NumberOrShort | None = None
    pull_request_number: Annotated[int, Field(strict=True, ge=0)] | None = None
    pull_request_reviewer: Short | None = None
    deployment_actor: Short | None = None
    org_slug: Short | None = None
    build_url: Url | None = None
    name: Name | None = None
    template_yaml: Annotated[str, Field(description="A template in YAML, of at most 64 KiB")] | None = None

    @model_validator(mode="after")
    def _one_pull_request(self) -> "TrailIn":
        text, number = self.pull_request_id, self.pull_request_number
        if text is not None and number is not None and text != str(number):
            raise ValueError("pullRequestId and pullRequestNumber differ; give one of them")
        return self

    def to_command(self, actor: Actor, context: CiContext | None, template: Template | None) -> NewTrail:
        """Return the input of the command. Raises Invalid for git data that neither the body nor the CI context has."""
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

    def repository(self, context: CiContext | None) -> str | None:
        """Return the repository of the body, else of the CI context."""
        return self.git_repository or (context.git_repository if context else None)

    def _git_data(self, context: CiContext | None) -> dict[str, Any]:
        """Return the git data of the body, completed from the CI context. Few CI systems provide the author.

        Nothing depends on the e-mail address, so it may be missing.
        """
        found = {name: getattr(self, name) for name in _GIT}
        if context is not None:
            found = {name: getattr(context, name) if value is None else value for name, value in found.items()}
            found["git_author"] = found["git_author"] or UNKNOWN
        found["git_author_email"] = found["git_author_email"] or UNKNOWN
        missing = [name for name in _GIT if found[name] is None and name not in _OPTIONAL_GIT]
        if missing:
            reason = "is required, unless a CI context provides it"
            raise invalid_fields(FieldError(str(TrailIn.model_fields[name].alias), reason) for name in missing)
        return found


class TrailOut(WireModel):
    """A trail: one run of a flow. `pullRequestNumber` is null when `pullRequestId` is not a number."""

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
        """Return the trail, with the pull request's id as a number if it is one."""
        pull_request = trail.pull_request_id
        number = int(pull_request) if pull_request and NUMBER.fullmatch(pull_request) else None
        return cls.filled(trail, pull_request_number=number, org_slug=call.tenant.org_slug)


class _TrailFilters(WireIn):
    status: StatusFilter = None
    name: Annotated[Short | None, Field(description="The exact name")] = None

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filters, as keyword arguments of the query; IN_PROGRESS becomes PENDING."""
        status = TrailStatus.PENDING if self.status == "IN_PROGRESS" else self.status and TrailStatus(self.status)
        return {"status": status, "name": self.name}


class FlowTrailsQuery(_TrailFilters, PageQuery):
    """Filters of a flow's trails."""


class TrailsQuery(_TrailFilters, ListQuery):
    """Filters of trails. A trail must match all of them."""

    flow_id: UUID | None = None
    git_commit_sha: Short | None = None

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filters, as keyword arguments of the query."""
        return {**super().to_filters(), "flow_id": self.flow_id, "commit": self.git_commit_sha}
