"""Routes of the public keys that verify provenance."""

from api.facts.schemas.provenance_keys import ProvenanceKeyIn, ProvenanceKeyOut
from api.http.calls import tagged
from api.http.paths import V1
from api.http.resources import Resource
from domain.identity.permissions import Permission
from storage.facts.commands import provenance_keys as commands
from storage.facts.queries import provenance_keys as queries

_KEYS = Resource(
    "provenance key",
    "provenance keys",
    f"{V1}/provenance-keys",
    ProvenanceKeyOut,
    read=Permission.FACTS_READ,
    manage=Permission.INTEGRATIONS_MANAGE,
)

ROUTES = tagged(
    "Provenance keys",
    _KEYS.create(
        commands.create_provenance_key,
        ProvenanceKeyIn,
        """Register a public key.

        Provenance recorded from now on is verified with this key at once; provenance recorded earlier is verified with
        it at its next check.
        """,
    ),
    _KEYS.list(queries.list_provenance_keys, "List the registered public keys, oldest first."),
    _KEYS.get(queries.get_provenance_key, "Get a registered public key."),
    _KEYS.delete(
        commands.delete_provenance_key,
        """Remove a public key.

        Provenance that the key verified stays verified until it is checked again.
        """,
    ),
)
