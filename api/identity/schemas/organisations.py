"""Request and response models of organisations."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from api.http.texts import Long, Name
from api.http.wire import ChangeIn, Instant, WireIn, WireModel
from domain.identity.organisations import NewOrganisation, OrganisationChange, OrganisationType


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


class OrganisationChangeIn(ChangeIn):
    """Changes to an organisation. An absent or null field keeps its value."""

    model_config = {"json_schema_extra": {"examples": [{"name": "Acme Group"}]}}

    name: Name | None = None
    description: Long | None = None

    def to_command(self) -> OrganisationChange:
        """Return the input of the command."""
        return OrganisationChange(self.name, self.description)


class OrganisationOut(WireModel):
    """An organisation."""

    id: UUID
    slug: str
    name: str
    description: str
    type: OrganisationType
    version: int
    created_at: Instant
    updated_at: Instant


class DeletionQuery(WireIn):
    """Nobody can remove the last administrator of an organisation, except with the organisation."""

    with_last_member: Annotated[
        bool,
        Field(description="Also remove the only member that is left, and the account if the organisation manages it"),
    ] = False
