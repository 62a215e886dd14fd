"""Routes of sessions."""

from api.http.calls import Route, tagged
from api.http.paths import V1
from api.identity.handlers import sessions
from api.identity.routes.organisations import DEFAULT, MEMBER
from domain.identity.permissions import Permission

SESSIONS = f"{V1}/sessions"
MEMBER_SESSIONS = f"{MEMBER}/sessions"
OWN, READ, MANAGE = Permission.PROFILE_OWN, Permission.IDENTITY_READ, Permission.IDENTITY_MANAGE

ROUTES = tagged(
    "Sessions",
    Route("POST", SESSIONS, sessions.start_session, OWN, status=201, errors=(409,), scoped=True),
    Route("GET", SESSIONS, sessions.list_sessions, OWN, scoped=True),
    Route("DELETE", f"{SESSIONS}/{{session_id}}", sessions.revoke_session, OWN, status=204),
    Route("POST", f"{V1}/logout", sessions.sign_out, OWN, status=204, errors=(409,), scoped=True),
    Route("GET", MEMBER_SESSIONS, sessions.list_member_sessions, READ, examples=DEFAULT),
    Route("DELETE", MEMBER_SESSIONS, sessions.revoke_member_sessions, MANAGE, status=204, examples=DEFAULT),
)
