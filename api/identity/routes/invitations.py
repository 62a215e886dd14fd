"""Routes of invitations."""

from api.http.calls import Route, tagged
from api.http.paths import V1
from api.http.resources import Resource
from api.identity.handlers import invitations
from api.identity.schemas.invitations import InvitationOut
from domain.identity.permissions import Permission
from domain.identity.rates import RateLimit
from storage.identity.queries.invitations import get_invitation

INVITATIONS = f"{V1}/invitations"
INVITATION = f"{INVITATIONS}/{{invitation_id}}"
READ, MANAGE = Permission.IDENTITY_READ, Permission.IDENTITY_MANAGE

_INVITATIONS = Resource("invitation", "invitations", INVITATIONS, InvitationOut, read=READ, manage=MANAGE)

ROUTES = tagged(
    "Invitations",
    Route("POST", INVITATIONS, invitations.create_invitation, MANAGE, status=201, errors=(409,)),
    Route("GET", INVITATIONS, invitations.list_invitations, READ),
    _INVITATIONS.get(get_invitation, "Get an invitation."),
    Route("POST", f"{INVITATION}/resend", invitations.resend_invitation, MANAGE, errors=(409,)),
    Route("DELETE", INVITATION, invitations.revoke_invitation, MANAGE, status=204, errors=(409,)),
    Route(
        "POST",
        f"{INVITATIONS}/accept",
        invitations.accept_invitation,
        None,
        errors=(403, 404, 409, 503),
        limit=RateLimit.SIGN_IN,
    ),
)
