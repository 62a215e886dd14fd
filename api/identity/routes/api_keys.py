"""Routes of API keys."""

from api.http.calls import Route, scoped, tagged
from api.http.paths import V1
from api.identity.handlers import api_keys
from domain.identity.permissions import Permission

KEYS = f"{V1}/api-keys"
OWN = Permission.KEYS_OWN

ROUTES = tagged(
    "API keys",
    *scoped(
        Route("POST", KEYS, api_keys.create_api_key, OWN, status=201, errors=(404, 409)),
        Route("GET", f"{KEYS}/owners/{{owner_id}}", api_keys.list_owner_api_keys, OWN),
        Route("DELETE", f"{KEYS}/{{api_key_id}}/revoke", api_keys.revoke_api_key, OWN, status=204, errors=(409,)),
        Route("POST", f"{KEYS}/{{api_key_id}}/rotate", api_keys.rotate_api_key, OWN, status=201, errors=(409,)),
    ),
)
