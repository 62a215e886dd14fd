"""Request and response models of invitations."""

from collections.abc import Mapping
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field, StringConstraints

from api.http.calls import Call
from api.http.paging import ListQuery
from api.http.texts import Flag, Name
from api.http.wire import GrantIn, Instant, WireIn, WireModel, shows
from api.identity.schemas.roles import RoleName
from api.identity.schemas.users import Email
from domain.identity.invitations import Invitation, InvitationStatus, invitation_link
from domain.identity.principals import normal_email


class IssueIn(GrantIn):
    """How the link of an invitation is given out.

    By default it is sent by e-mail where a mail server is configured. Otherwise the answer shows it.
    """

    model_config = {"json_schema_extra": {"examples": [{"sendEmail": False}]}}

    send_email: Annotated[Flag | None, Field(description="Send the link by e-mail, or show it in the answer")] = None
    ttl_days: Annotated[
        int | None,
        Field(strict=True, ge=1, description="Days for which the link works; at most, and by default, the setting's"),
    ] = None


class InvitationIn(IssueIn):
    """Whom to invite, and with which role. Without a `name`, here or when accepting, it is the address."""

    model_config = {
        "json_schema_extra": {"examples": [{"email": "ada@example.com", "role": "MEMBER", "sendEmail": False}]}
    }

    email: Email
    role: RoleName
    name: Name | None = None

    @property
    def address(self) -> str:
        """The e-mail address in normal form. Raises Invalid."""
        return normal_email(self.email)


class InvitationsQuery(ListQuery):
    """The status that the invitations have now."""

    status: InvitationStatus | None = None

    def to_filters(self) -> Mapping[str, Any]:
        """Return the filter, as a keyword argument of the query."""
        return {"status": self.status}


class InvitationOut(WireModel):
    """An invitation. `email` and `name` are null once it is accepted or revoked.

    `sentByEmail`: the link was sent to the address, not shown. `acceptedBy` and `invitedBy` are ids of users.
    """

    id: UUID
    email: str | None
    name: str | None
    role: RoleName
    status: InvitationStatus
    sent_by_email: bool = shows("mailed")
    invited_by: UUID = shows("created_by")
    version: int
    created_at: Instant
    updated_at: Instant
    expires_at: Instant
    accepted_at: Instant | None
    accepted_by: UUID | None
    revoked_at: Instant | None

    @classmethod
    def of(cls, record: Invitation, call: Call) -> Self:
        """Return an invitation."""
        return cls.filled(record, **_further(record, call))


class IssuedInvitationOut(InvitationOut):
    """An invitation with its new link: the only answer that contains it.

    `link` is null if it was sent by e-mail, and in a dry run.
    """

    link: str | None

    @classmethod
    def issued(cls, record: Invitation, token: str, call: Call, *, dry_run: bool) -> Self:
        """Return an invitation with its link, unless that goes to the person alone.

        Not in a dry run: the next issue of the invitation has the same token.
        """
        link = None if record.mailed or dry_run else invitation_link(call.services.settings.address, token)
        return cls.filled(record, link=link, **_further(record, call))


def _further(record: Invitation, call: Call) -> dict[str, Any]:
    return {"role": RoleName.of(record.role), "status": record.status(call.services.clock.now())}


class AcceptanceIn(WireIn):
    """The token at the end of an invitation's link. `name` is for a person who has no user yet."""

    model_config = {"json_schema_extra": {"examples": [{"token": "tgi_" + "0" * 64}]}}

    token: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    name: Name | None = None


class AcceptedInvitationOut(WireModel):
    """The new member. `isSignedIn`: the answer sets a session's cookie; otherwise `howToSignIn` says what to do."""

    organisation: str
    organisation_id: UUID
    user_id: UUID
    email: str | None
    name: str | None
    role: RoleName
    is_signed_in: bool
    how_to_sign_in: str | None
