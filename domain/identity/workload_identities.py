"""Workload identities: which CI jobs may act in an organisation, and as what."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from uuid import UUID

from domain.errors import Invalid
from domain.identity.permissions import DEFAULT_ORGANISATION
from domain.identity.scopes import checked_scopes
from domain.identity.slugs import is_slug
from domain.identity.workloads import GITHUB_ISSUER, GITLAB_ISSUER, Workload, WorkloadProvider, normal_repository

HOSTED = {WorkloadProvider.GITHUB: GITHUB_ISSUER, WorkloadProvider.GITLAB: GITLAB_ISSUER}
"""The issuers of the platforms themselves; whoever runs one has an issuer of its own."""

_REPOSITORIES = {
    WorkloadProvider.GITHUB: re.compile(r"[\w.-]+/[\w.-]+", re.ASCII),
    WorkloadProvider.GITLAB: re.compile(r"[\w.-]+(/[\w.-]+)+", re.ASCII),
}
_REF_PATTERN = re.compile(r"refs/[^*\s]*\*?")


@dataclass(frozen=True, slots=True)
class CiIssuer:
    """Who signs the tokens of CI jobs, and how their claims are called. `issuer` does not end with a slash."""

    provider: WorkloadProvider
    issuer: str


@dataclass(frozen=True, slots=True)
class WorkloadTerms:
    """What a workload identity says beside its issuer. Of the conditions on a job, None stands for any.

    `repository_id` is the platform's own id of the repository, which another repository of the same name does not have.
    A `*` at the end of `ref_pattern` stands for any text. `scopes` are as those of an API key.
    """

    name: str
    description: str | None
    role: str
    repository: str
    repository_id: str | None
    ref_pattern: str | None
    environment: str | None
    scopes: list[str] | None
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class WorkloadIdentity:
    """A stored workload identity. Its jobs act as the principal."""

    id: UUID
    org_id: UUID
    principal_id: UUID
    name: str
    description: str | None
    role: str
    provider: WorkloadProvider
    issuer: str
    repository: str
    repository_id: str | None
    ref_pattern: str | None
    environment: str | None
    scopes: list[str] | None
    is_active: bool
    version: int
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None

    @property
    def terms(self) -> WorkloadTerms:
        """What it says beside its issuer."""
        return WorkloadTerms(**{one.name: getattr(self, one.name) for one in fields(WorkloadTerms)})


Change = Callable[[WorkloadIdentity], WorkloadTerms]
"""What a stored identity is to say; it may raise."""


def ci_issuer(provider: WorkloadProvider, issuer: str | None, *, http_allowed: bool) -> CiIssuer:
    """Return the issuer of a provider: its own unless another URL is given. Raises Invalid for another provider's.

    With `http_allowed`, it may be reached by http, for private networks.
    """
    if issuer is None:
        return CiIssuer(provider, HOSTED[provider])
    if not (http_allowed or issuer.lower().startswith("https:")):
        raise Invalid.of("issuer", "must be an https URL")
    for other, hosted in HOSTED.items():
        if issuer == hosted and other is not provider:
            raise Invalid.of("issuer", f"is that of the provider {other.value}")
    return CiIssuer(provider, issuer)


def checked_terms(provider: WorkloadProvider, terms: WorkloadTerms) -> WorkloadTerms:
    """Return the terms as they are stored. Raises Invalid for a bad repository, ref pattern or scope."""
    if not _REPOSITORIES[provider].fullmatch(terms.repository):
        form = "owner/name" if provider is WorkloadProvider.GITHUB else "group/name, with subgroups if there are any"
        raise Invalid.of("repository", f"must be {form}")
    if terms.ref_pattern is not None and not _REF_PATTERN.fullmatch(terms.ref_pattern):
        message = "must be a whole ref, such as refs/heads/main or refs/tags/v*, with at most one * at its end"
        raise Invalid.of("refPattern", message)
    return replace(
        terms,
        repository=normal_repository(provider, terms.repository),
        scopes=None if terms.scopes is None else checked_scopes(terms.scopes),
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """The conditions on a job of a repository, as in WorkloadTerms, under which it acts as the principal of this id."""

    id: UUID
    repository_id: str | None
    ref_pattern: str | None
    environment: str | None

    def is_of(self, job: Workload) -> bool:
        """Whether a repository of this name is the job's."""
        return self.repository_id in (None, job.repository_id)

    def admits(self, job: Workload) -> bool:
        """Whether a job meets the conditions."""
        return (
            self.is_of(job)
            and self.environment in (None, job.environment)
            and (self.ref_pattern is None or _fits(self.ref_pattern, job.ref))
        )

    @property
    def narrowness(self) -> tuple[bool, int]:
        """Greater for the narrower of two rules: one with an environment, then one with a longer pattern."""
        return self.environment is not None, len(self.ref_pattern or "")


def deciding(rules: Sequence[Rule], job: Workload) -> Rule | None:
    """Return the narrowest of the rules, given the oldest first, that admit a job; of equal ones the oldest."""
    return max((rule for rule in rules if rule.admits(job)), key=lambda rule: rule.narrowness, default=None)


def audience_of(address: str, slug: str) -> str:
    """Return the audience of tokens for an organisation, whose server has this address."""
    return f"{address}/{slug}"


def organisation_named(audience: str, address: str) -> str | None:
    """Return the slug of the organisation that an audience names; the address alone names `default`."""
    if audience == address:
        return DEFAULT_ORGANISATION
    slug = audience.removeprefix(f"{address}/")
    return slug if slug != audience and is_slug(slug) else None


def _fits(pattern: str, ref: str) -> bool:
    return ref.startswith(pattern[:-1]) if pattern.endswith("*") else ref == pattern
