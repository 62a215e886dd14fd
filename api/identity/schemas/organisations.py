"""Organisations on the wire (integrations.md 3)."""

from uuid import UUID

from api.http.texts import Long, Name
from api.http.wire import Instant, WireIn, WireModel
from domain.identity.organisations import NewOrganisation, OrganisationType


class OrganisationIn(WireIn):
    """An organisation to be founded. The slug is its name in paths, for ever."""

    model_config = {"json_schema_extra": {"examples": [{"slug": "acme", "name": "Acme Ltd"}]}}

    slug: str
    name: Name
    description: Long = ""
    type: OrganisationType = OrganisationType.SHARED

    def to_command(self) -> NewOrganisation:
        """What the command takes."""
        return NewOrganisation(self.slug, self.name, self.description, self.type)


class OrganisationOut(WireModel):
    """A tenant."""

    id: UUID
    slug: str
    name: str
    description: str
    type: OrganisationType
    created_at: Instant
    updated_at: Instant
