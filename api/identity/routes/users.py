"""Routes of users."""

from api.http.calls import Route, tagged
from api.http.paths import V1
from api.http.resources import Resource
from api.identity.handlers import users
from api.identity.schemas.users import UserIn, UserOut
from domain.identity.permissions import Permission
from storage.identity.commands.users import create_user
from storage.identity.queries.principals import get_user, list_users

USERS = f"{V1}/users"
USER = f"{USERS}/{{user_id}}"
READ, MANAGE = Permission.IDENTITY_READ, Permission.IDENTITY_MANAGE

_USERS = Resource("user", "users", USERS, UserOut, read=READ, manage=MANAGE)

ROUTES = tagged(
    "Users",
    _USERS.create(
        create_user,
        UserIn,
        """Create a user.

        The user is no member of any organisation yet: see `POST /api/v1/organisations/{organisation}/members`.
        """,
    ),
    _USERS.list(list_users, "List the users that the organisation manages, oldest first."),
    _USERS.get(get_user, "Get a user that the organisation manages or has as a member."),
    Route("PUT", USER, users.update_user, MANAGE, errors=(409,)),
    Route("DELETE", USER, users.delete_user, MANAGE, status=204, errors=(409,)),
    Route("DELETE", f"{USER}/personal-data", users.erase_user, MANAGE, status=204, errors=(409,)),
)
