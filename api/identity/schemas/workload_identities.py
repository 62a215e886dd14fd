"""Request and response models of workload identities."""

from dataclasses import replace
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field

from api.http.calls import Call
from api.http.texts import Flag, Long, Name
from api.http.wire import GrantIn, Instant, WireModel
from api.identity.schemas.api_keys import ScopeTexts
from api.identity.schemas.roles import RoleName
from domain.identity.workload_identities import WorkloadIdentity, WorkloadTerms, audience_of
from domain.identity.workloads import WorkloadProvider

Repository = Annotated[Name, Field(description="`owner/name`; of GitLab also `group/subgroup/name`")]
RepositoryId = Annotated[
    Name,
    Field(
        description="The platform's own id of it (the claim `repository_id`, of GitLab `project_id`): "
        "then another repository that gets the name later is refused"
    ),
]
RefPattern = Annotated[Name, Field(description="`refs/heads/main`; a `*` at the end stands for any text. Null = any")]
Environment = Annotated[Name, Field(description="The environment of the job. Null = any, and jobs without one")]


class WorkloadIdentityIn(GrantIn):
    """A new workload identity: the CI jobs of a repository that may act with the tokens of their platform.

    `issuer` is the platform's own unless you run one; its role is `SERVICE_ACCOUNT` by default.
    """

    model_config = {
        "json_schema_extra": {
            "examples": [
                {
                    "name": "payments-release",
                    "provider": "github",
                    "repository": "acme/payments",
                    "refPattern": "refs/heads/main",
                    "environment": "production",
                }
            ]
        }
    }

    name: Name
    description: Long | None = None
    role: RoleName = RoleName.SERVICE_ACCOUNT
    provider: WorkloadProvider
    issuer: Name | None = None
    repository: Repository
    repository_id: RepositoryId | None = None
    ref_pattern: RefPattern | None = None
    environment: Environment | None = None
    scopes: ScopeTexts | None = None

    def to_terms(self) -> WorkloadTerms:
        """Return what the identity says beside its issuer."""
        return WorkloadTerms(
            name=self.name,
            description=self.description,
            role=self.role.role,
            repository=self.repository,
            repository_id=self.repository_id,
            ref_pattern=self.ref_pattern,
            environment=self.environment,
            scopes=self.scopes,
        )


_REMOVABLE = ("description", "repository_id", "ref_pattern", "environment", "scopes")
"""The fields that null removes."""


class WorkloadIdentityChangeIn(GrantIn):
    """Changes to a workload identity. An absent field keeps its value; null removes a condition, scopes or description.

    The provider and the issuer stay. With `isActive` false, its tokens stop at once.
    """

    model_config = {"json_schema_extra": {"examples": [{"refPattern": "refs/heads/release/*", "environment": None}]}}

    name: Name | None = None
    description: Long | None = None
    role: RoleName | None = None
    repository: Repository | None = None
    repository_id: RepositoryId | None = None
    ref_pattern: RefPattern | None = None
    environment: Environment | None = None
    scopes: ScopeTexts | None = None
    is_active: Flag | None = None

    def onto(self, identity: WorkloadIdentity) -> WorkloadTerms:
        """Return what the changed identity says."""
        required: dict[str, Any] = {
            "name": self.name,
            "role": self.role and self.role.role,
            "repository": self.repository,
            "is_active": self.is_active,
        }
        given = {name: value for name, value in required.items() if value is not None}
        removable = {name: getattr(self, name) for name in _REMOVABLE if name in self.model_fields_set}
        return replace(identity.terms, **given, **removable)


class WorkloadIdentityOut(WireModel):
    """A workload identity. Its jobs ask their platform for a token with this `audience`.

    `principalId` is the actor of their events in the audit.
    """

    id: UUID
    principal_id: UUID
    name: str
    description: str | None
    role: RoleName
    is_active: bool
    provider: WorkloadProvider
    issuer: str
    repository: str
    repository_id: str | None
    ref_pattern: str | None
    environment: str | None
    scopes: list[str] | None
    audience: str
    version: int
    created_at: Instant
    updated_at: Instant
    last_used_at: Instant | None

    @classmethod
    def of(cls, record: WorkloadIdentity, call: Call) -> Self:
        """Return a workload identity."""
        audience = audience_of(call.services.settings.address, call.tenant.org_slug)
        return cls.filled(record, role=RoleName.of(record.role), audience=audience)
