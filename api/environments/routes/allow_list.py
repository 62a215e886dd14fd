"""Routes of allow-lists.

Whoever may set the policies may also say what they do not apply to: `policies:manage`, which reporters do not hold.
"""

from api.environments.handlers import allow_list
from api.environments.routes.environments import ENVIRONMENTS
from api.http.calls import Route, scoped, tagged
from domain.identity.permissions import Permission

_ENTRIES = f"{ENVIRONMENTS}/{{environment_id}}/allowlist"
_ENTRY = f"{_ENTRIES}/{{entry_id}}"

ROUTES = tagged(
    "Environments",
    *scoped(
        Route(
            "POST",
            _ENTRIES,
            allow_list.add_allow_list_entry,
            Permission.POLICIES_MANAGE,
            status=201,
            errors=(409,),
        ),
        Route("GET", _ENTRIES, allow_list.list_allow_list, Permission.FACTS_READ),
        Route("GET", _ENTRY, allow_list.get_allow_list_entry, Permission.FACTS_READ),
        Route("GET", f"{_ENTRY}/uses", allow_list.list_allow_list_uses, Permission.FACTS_READ),
        Route("DELETE", _ENTRY, allow_list.remove_allow_list_entry, Permission.POLICIES_MANAGE, errors=(409,)),
    ),
)
