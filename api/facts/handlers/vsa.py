"""Handlers of verification summaries."""

from uuid import UUID

from aiohttp import web

from api.facts.schemas.vsa import EnvelopeOut
from api.http.accept import prefers
from api.http.calls import Call
from domain.canonical import canonical_json
from domain.facts.vsa import PAYLOAD_TYPE, build_level, statement
from integrations.formats.dsse.sign import sign_envelope
from storage.facts.queries.provenance import provenance_then
from storage.facts.queries.verdicts import get_verdict
from storage.ledger.authenticity import Trust, check_record
from storage.registry import RECORDS

ENVELOPE = "application/vnd.dsse.envelope.v1+json"


async def get_verdict_vsa(call: Call, verdict_id: UUID) -> EnvelopeOut | web.Response:
    """Get a verdict as a signed SLSA Verification Summary Attestation.

    The response is a DSSE envelope with an in-toto statement, which can be verified without this server: with
    `trailgate verify-vsa`, or with any DSSE verifier and the public keys of `GET /api/v1/ledger/keys`. With `Accept:
    application/vnd.dsse.envelope.v1+json` that is its media type. Before the verdict is signed it is compared with the
    ledger: 409 if it was altered. 422 if the artifact is not named by a SHA-256.
    """
    services, tenant = call.services, call.tenant
    trust = Trust(RECORDS, services.trusted_keys, services.database.authenticator)
    async with call.snapshot() as reader:
        verdict = await get_verdict(reader, tenant, verdict_id)
        provenance = await provenance_then(reader, tenant, verdict)
        for record_id in (verdict.id, *((provenance.id, provenance.check_id) if provenance else ())):
            await check_record(reader, tenant, record_id, trust)
    payload = canonical_json(statement(verdict, services.settings.address, build_level(provenance)))
    signer = services.signer
    envelope = EnvelopeOut.signed(sign_envelope(PAYLOAD_TYPE, payload, signer.key_id, signer.sign))
    if prefers(call.request, ENVELOPE, to="application/json"):
        return web.Response(text=envelope.model_dump_json(by_alias=True), content_type=ENVELOPE)
    return envelope
