"""Response model of the caller."""

from uuid import UUID

from api.http.wire import WireModel
from api.identity.schemas.roles import RoleName


class MeOut(WireModel):
    """Who the caller is, and what its credential may do in which organisation.

    `kind` is user, service, workload or system; `email` is null unless it is a user. `credentialId` is the id of the
    API key, session or workload identity, null while authentication is off. `scopes` are what the credential is limited
    to, null for no limit.
    """

    id: UUID
    kind: str
    name: str | None
    email: str | None
    organisation: str
    organisation_id: UUID
    role: RoleName
    permissions: list[str]
    credential_id: UUID | None
    scopes: list[str] | None
