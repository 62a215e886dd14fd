"""Routes of attestations."""

from api.facts.handlers import attestations, job_attestations
from api.http.calls import Route, scoped, tagged
from api.http.paths import V1, V2
from domain.identity.permissions import Permission

ROUTES = tagged(
    "Attestations",
    *scoped(
        Route(
            "POST",
            f"{V1}/trails/{{trail_id}}/attestations",
            attestations.record_attestation,
            Permission.FACTS_REPORT,
            status=201,
            errors=(503,),
        ),
        Route("GET", f"{V1}/trails/{{trail_id}}/attestations", attestations.list_attestations, Permission.FACTS_READ),
        Route(
            "POST",
            f"{V1}/attestations",
            attestations.record_attestation_on_named_trail,
            Permission.FACTS_REPORT,
            status=201,
            errors=(404, 503),
        ),
        Route(
            "POST",
            f"{V2}/attestations/oidc",
            job_attestations.record_job_attestation,
            Permission.FACTS_REPORT,
            status=201,
            errors=(404, 409, 422, 503),
            prepare=job_attestations.verify_job,
        ),
        Route(
            "GET",
            f"{V1}/trails/{{trail_id}}/attestations/{{attestation_id}}",
            attestations.get_attestation,
            Permission.FACTS_READ,
        ),
    ),
)
