"""The route of the caller's own identity."""

from api.http.calls import Route, tagged
from api.http.paths import V1
from api.identity.handlers import me
from domain.identity.permissions import Permission

ROUTES = tagged("Users", Route("GET", f"{V1}/me", me.get_me, Permission.PROFILE_OWN, scoped=True))
