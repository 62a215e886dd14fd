"""Request and response models of service accounts."""

from typing import Self
from uuid import UUID

from api.http.calls import Call
from api.http.texts import Flag, Long, Name
from api.http.wire import ChangeIn, Instant, WireIn, WireModel
from api.identity.schemas.roles import RoleName
from domain.identity.principals import NewServiceAccount, ServiceAccount, ServiceAccountChange


class ServiceAccountIn(WireIn):
    """A new service account: an identity for a program, such as a CI job. Its role is `SERVICE_ACCOUNT` by default."""

    model_config = {"json_schema_extra": {"examples": [{"name": "payments-ci", "description": "Builds of payments"}]}}

    name: Name
    description: Long | None = None
    role: RoleName = RoleName.SERVICE_ACCOUNT

    def to_command(self) -> NewServiceAccount:
        """Return the input of the command."""
        return NewServiceAccount(self.name, self.description, self.role.role)


class ServiceAccountChangeIn(ChangeIn):
    """Changes to a service account. An absent or null field keeps its value.

    With `isActive` false, its keys stop at once.
    """

    model_config = {"json_schema_extra": {"examples": [{"description": "Builds of all teams"}]}}

    name: Name | None = None
    description: Long | None = None
    role: RoleName | None = None
    is_active: Flag | None = None

    def to_command(self) -> ServiceAccountChange:
        """Return the input of the command."""
        role = None if self.role is None else self.role.role
        return ServiceAccountChange(self.name, self.description, role, self.is_active)


class ServiceAccountOut(WireModel):
    """A service account."""

    id: UUID
    name: str
    description: str | None
    role: RoleName
    is_active: bool
    version: int
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, record: ServiceAccount, _call: Call) -> Self:
        """Return a service account."""
        return cls.filled(record, role=RoleName.of(record.role), is_active=record.disabled_at is None)
