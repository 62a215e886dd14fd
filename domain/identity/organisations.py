"""Organisations: the tenants."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from domain.tenant import Tenant


class OrganisationType(StrEnum):
    """One person's, or many people's."""

    PERSONAL = "PERSONAL"
    SHARED = "SHARED"


@dataclass(frozen=True, slots=True)
class NewOrganisation:
    """What the founder of an organisation says of it."""

    slug: str
    name: str
    description: str = ""
    type: OrganisationType = OrganisationType.SHARED


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation as it is kept."""

    id: UUID
    slug: str
    name: str
    description: str
    type: OrganisationType
    created_at: datetime
    updated_at: datetime

    @property
    def tenant(self) -> Tenant:
        """The organisation as the tenant of a query."""
        return Tenant(self.id, self.slug)
