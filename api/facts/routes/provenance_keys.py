"""Paths of provenance keys."""

from api.facts.handlers import provenance_keys
from api.http.calls import Route, tagged
from api.http.paths import V1
from domain.identity.permissions import Permission

KEYS = f"{V1}/provenance-keys"
ONE = f"{KEYS}/{{provenance_key_id}}"

ROUTES = tagged(
    "Provenance keys",
    Route(
        "POST", KEYS, provenance_keys.create_provenance_key, Permission.INTEGRATIONS_MANAGE, status=201, errors=(409,)
    ),
    Route("GET", KEYS, provenance_keys.list_provenance_keys, Permission.FACTS_READ),
    Route("GET", ONE, provenance_keys.get_provenance_key, Permission.FACTS_READ),
    Route("DELETE", ONE, provenance_keys.delete_provenance_key, Permission.INTEGRATIONS_MANAGE),
)
