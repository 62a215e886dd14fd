"""Workloads: CI jobs, as the verified token of their platform describes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from domain.errors import Unauthenticated

GITHUB_ISSUER = "https://token.actions.githubusercontent.com"
GITLAB_ISSUER = "https://gitlab.com"
"""GitLab's own; a self-managed GitLab is an issuer of its own."""

MAX_CLAIM = 1000
"""Characters of one claim."""

_LAST_TIME = 253402300799
_FULL_REFS = {"branch": "refs/heads/", "tag": "refs/tags/"}


class WorkloadProvider(StrEnum):
    """A platform whose jobs have tokens."""

    GITHUB = "github"
    GITLAB = "gitlab"


def normal_repository(provider: WorkloadProvider, repository: str) -> str:
    """Return a repository's name in the form in which names are compared: GitHub's do not depend on the case."""
    return repository.lower() if provider is WorkloadProvider.GITHUB else repository


@dataclass(frozen=True, slots=True)
class Workload:
    """One CI job. `ref` is complete (`refs/heads/main`); `token_id` is different in every token of an issuer.

    `repository_id` is the platform's own id of the repository, if the token has it. `workflow` is None where GitLab's
    pipeline is defined in another project.
    """

    provider: WorkloadProvider
    issuer: str
    subject: str
    repository: str
    repository_id: str | None
    ref: str
    environment: str | None
    sha: str
    workflow: str | None
    actor: str
    run_id: str
    token_id: str
    issued_at: datetime
    expires_at: datetime

    def is_of(self, repository: str) -> bool:
        """Whether the job is one of a repository, by its name."""
        return normal_repository(self.provider, self.repository) == normal_repository(self.provider, repository)


@dataclass(frozen=True, slots=True)
class _Names:
    """What a platform calls the claims."""

    repository: str
    repository_id: str
    workflow: str
    actor: str
    run_id: str
    trigger: str


_NAMES = {
    WorkloadProvider.GITHUB: _Names("repository", "repository_id", "workflow_ref", "actor", "run_id", "event_name"),
    WorkloadProvider.GITLAB: _Names(
        "project_path", "project_id", "ci_config_ref_uri", "user_login", "pipeline_id", "pipeline_source"
    ),
}

_OPEN_TRIGGERS = frozenset(
    ("pull_request_target", "merge_request_event", "external_pull_request_event", "parent_pipeline"),
)
"""What starts jobs for changes that anybody may propose, with tokens as if they came from a branch of the repository.

GitHub names the base branch, GitLab the source branch, which may be one of a fork. A child pipeline of GitLab says the
same, and not what started its parent. GitHub's `pull_request` is none of them: its ref is that of the pull request.
"""


def workload_of(provider: WorkloadProvider, claims: Mapping[str, Any]) -> Workload:
    """Read the claims of a verified token.

    Raises Unauthenticated, naming the claim that is missing or ill-typed, and for a job that a change from outside the
    repository may have started.
    """
    names = _NAMES[provider]
    if _text(claims, names.trigger) in _OPEN_TRIGGERS:
        raise _unfit(names.trigger)
    return Workload(
        provider=provider,
        issuer=_text(claims, "iss"),
        subject=_text(claims, "sub"),
        repository=_text(claims, names.repository),
        repository_id=_optional(claims, names.repository_id),
        ref=_ref(provider, claims),
        environment=_optional(claims, "environment"),
        sha=_text(claims, "sha"),
        workflow=_optional(claims, names.workflow),
        actor=_text(claims, names.actor),
        run_id=_text(claims, names.run_id),
        token_id=_text(claims, "jti"),
        issued_at=_time(claims, "iat"),
        expires_at=_time(claims, "exp"),
    )


def _ref(provider: WorkloadProvider, claims: Mapping[str, Any]) -> str:
    """GitHub names a ref completely; GitLab gives a short name, and its kind beside it."""
    ref = _text(claims, "ref")
    if provider is WorkloadProvider.GITHUB:
        return ref
    prefix = _FULL_REFS.get(_text(claims, "ref_type"))
    if prefix is None:
        raise _unfit("ref_type")
    return prefix + ref


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_CLAIM or not value.isprintable():
        raise _unfit(name)
    return value


def _optional(claims: Mapping[str, Any], name: str) -> str | None:
    return _text(claims, name) if claims.get(name) is not None else None


def _time(claims: Mapping[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_TIME:
        raise _unfit(name)
    return datetime.fromtimestamp(value, UTC)


def _unfit(name: str) -> Unauthenticated:
    return Unauthenticated(f"The token's claim '{name}' is missing or not usable.")
