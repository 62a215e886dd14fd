"""Organisations, which are the tenants."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.tenant import Tenant


class OrganisationType(StrEnum):
    """Whether an organisation belongs to one person or is shared."""

    PERSONAL = "PERSONAL"
    SHARED = "SHARED"


@dataclass(frozen=True, slots=True)
class NewOrganisation:
    """An organisation to create."""

    slug: str
    name: str
    description: str = ""
    type: OrganisationType = OrganisationType.SHARED


@dataclass(frozen=True, slots=True)
class OrganisationChange:
    """A change of an organisation; None keeps a value."""

    name: str | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Organisation:
    """A stored organisation."""

    id: UUID
    slug: str
    name: str
    description: str
    type: OrganisationType
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def tenant(self) -> Tenant:
        """The organisation as the tenant of commands and queries."""
        return Tenant(self.id, self.slug)
