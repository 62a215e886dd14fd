"""Organisations on the wire (integrations.md 3)."""

from typing import Any
from uuid import UUID

from api.http.texts import Long, Name
from api.http.wire import Instant, WireIn, WireModel
from domain.identity.organisations import OrganisationType
from storage.identity.commands import NewOrganisation
from storage.identity.queries import Organisation


class OrganisationIn(WireIn):
    """An organisation to be founded. The slug is its name in paths, for ever."""

    model_config = {"json_schema_extra": {"examples": [{"slug": "acme", "name": "Acme Ltd"}]}}

    slug: str
    name: Name
    description: Long = ""
    type: OrganisationType = OrganisationType.SHARED

    def organisation(self) -> NewOrganisation:
        """What the command takes."""
        return NewOrganisation(self.slug, self.name, self.description, self.type)


class OrganisationOut(WireModel):
    """A tenant."""

    id: UUID
    slug: str
    name: str
    description: str
    type: str
    created_at: Instant
    updated_at: Instant

    @classmethod
    def of(cls, organisation: Organisation) -> "OrganisationOut":
        """As stored."""
        fields: dict[str, Any] = {name: getattr(organisation, name) for name in cls.model_fields}
        return cls(**fields)
