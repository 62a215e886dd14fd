"""Routes of evidence files."""

from api.facts.handlers import evidence
from api.http.calls import Route, scoped, tagged
from api.http.paths import V1
from api.http.transport.uploads import BINARY, MULTIPART
from domain.identity.permissions import Permission

_UUID = "[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"
_SHA256 = "(?:[Ss][Hh][Aa]256:)?[0-9A-Fa-f]{64}"
_OF_ATTESTATION = f"{V1}/trails/{{trail_id}}/attestations/{{attestation_id}}/evidence"

RAW = ("application/json", "text/plain", "application/xml", "text/xml", BINARY)
"""The media types of a body that is the file itself."""

ROUTES = tagged(
    "Evidence",
    *scoped(
        Route(
            "POST",
            _OF_ATTESTATION,
            evidence.add_evidence,
            Permission.EVIDENCE_WRITE,
            status=201,
            errors=(409, 422, 503),
            prepare=evidence.parse_upload,
        ),
        Route("GET", _OF_ATTESTATION, evidence.list_trail_attestation_evidence, Permission.EVIDENCE_READ),
        Route("GET", f"{V1}/trails/{{trail_id}}/evidence", evidence.list_trail_evidence, Permission.EVIDENCE_READ),
        Route(
            "GET",
            f"{V1}/attestations/{{attestation_id}}/evidence",
            evidence.list_attestation_evidence,
            Permission.EVIDENCE_READ,
        ),
        Route(
            "POST",
            f"{V1}/evidence/{{attestation_id:{_UUID}}}",
            evidence.add_attestation_evidence,
            Permission.EVIDENCE_WRITE,
            status=201,
            accepts=(MULTIPART, *RAW),
            errors=(409, 422, 503),
            prepare=evidence.parse_upload,
        ),
        Route(
            "GET",
            f"{V1}/evidence/{{sha256:{_SHA256}}}",
            evidence.download_evidence,
            Permission.EVIDENCE_READ,
            produces=BINARY,
            errors=(409, 416),
        ),
        Route("GET", f"{V1}/evidence/{{evidence_id}}/verify", evidence.verify_evidence, Permission.EVIDENCE_READ),
    ),
)
