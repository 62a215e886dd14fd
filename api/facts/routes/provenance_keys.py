"""Public keys of whoever signs provenance."""

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

        Signatures of this key verify provenance from now on: at once for provenance that is recorded later, and at the
        next check for provenance that was recorded before.
        """,
    ),
    _KEYS.list(queries.list_provenance_keys, "List the registered keys, oldest first."),
    _KEYS.get(queries.get_provenance_key, "Get a registered key."),
    _KEYS.delete(
        commands.delete_provenance_key,
        """Withdraw a key.

        Provenance that it verified stays verified until it is checked again: a check is a fact of its time.
        """,
    ),
)
