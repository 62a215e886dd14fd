"""Request and response models of organisations."""

from uuid import UUID

from api.http.texts import Long, Name
from api.http.wire import Instant, WireIn, WireModel
from domain.identity.organisations import NewOrganisation, OrganisationType


class OrganisationIn(WireIn):
    """A new organisation. The slug names it in paths and cannot be changed."""

    model_config = {"json_schema_extra": {"examples": [{"slug": "acme", "name": "Acme Ltd"}]}}

    slug: str
    name: Name
    description: Long = ""
    type: OrganisationType = OrganisationType.SHARED

    def to_command(self) -> NewOrganisation:
        """Return the input of the command."""
        return NewOrganisation(self.slug, self.name, self.description, self.type)


class OrganisationOut(WireModel):
    """An organisation."""

    id: UUID
    slug: str
    name: str
    description: str
    type: OrganisationType
    created_at: Instant
    updated_at: Instant
