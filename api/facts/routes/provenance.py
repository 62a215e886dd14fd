"""Routes of provenance."""

from api.facts.handlers import provenance
from api.http.calls import Route, scoped, tagged
from api.http.paths import V1
from domain.identity.permissions import Permission

OF_ARTIFACT = f"{V1}/trails/{{trail_id}}/artifacts/{{artifact_id}}/provenance"

ROUTES = tagged(
    "Provenance",
    *scoped(
        Route(
            "POST", OF_ARTIFACT, provenance.record_provenance, Permission.FACTS_REPORT, status=201, errors=(409, 422)
        ),
        Route("GET", OF_ARTIFACT, provenance.get_provenance, Permission.FACTS_READ),
        Route("POST", f"{OF_ARTIFACT}/verify", provenance.verify_provenance, Permission.FACTS_REPORT, errors=(409,)),
        Route(
            "GET",
            f"{V1}/artifacts/{{digest}}/provenance",
            provenance.get_provenance_of_digest,
            Permission.FACTS_READ,
            examples={"digest": "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
        ),
    ),
)
