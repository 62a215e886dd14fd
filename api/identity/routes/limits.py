"""The route of the limits."""

from api.http.calls import Route, tagged
from api.http.paths import V1
from api.identity.handlers import limits
from domain.identity.permissions import Permission

ROUTES = tagged("Organisations", Route("GET", f"{V1}/limits", limits.get_limits, Permission.FACTS_READ, scoped=True))
