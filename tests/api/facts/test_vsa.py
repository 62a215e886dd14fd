"""Verdicts that travel: signed, the same every time, valid without us, and never over something that was altered."""

import json
from base64 import b64decode, b64encode
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from domain.audit.events import AuditName, Event
from domain.facts.provenance import Build, BuilderType, ProvenanceClaim, SlsaLevel
from domain.facts.records import VERDICT
from storage.audit.commands import append
from storage.services import Services
from tests.api.caller import NOBODY, Answer, Caller, found_organisation, make_holder, unique
from tests.integrations.formats.dsse.signing import DIGEST, envelope, new_signer, statement, std
from workers.seal import Sealer

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENVELOPE = "application/vnd.dsse.envelope.v1+json"


async def decided(api: Caller, digest: str = DIGEST, **flow: Any) -> tuple[str, Any]:
    """The id of a verdict about an artifact, and that artifact."""
    made = await api.make_flow(**flow)
    artifact = await api.report_artifact((await api.make_trail(made["id"]))["id"], digest)
    return await asserted(api, made["id"], digest), artifact


async def asserted(api: Caller, flow_id: str, digest: str = DIGEST) -> str:
    return str((await api.post("/assert", {"flowId": flow_id, "sha256Digest": digest}, 200)).json["verdictId"])


async def summary(api: Caller, verdict: str, status: int = 200, **request: Any) -> Answer:
    return await api.get(f"/verdicts/{verdict}/vsa", status, **request)


def opened(answer: Answer) -> Any:
    return json.loads(b64decode(answer.json["payload"]))


def verify(signed: Any, pem: bytes) -> None:
    """The protocol of DSSE, written from its specification. Raises InvalidSignature."""
    body, kind = b64decode(signed["payload"], validate=True), signed["payloadType"].encode()
    message = b"DSSEv1 " + b" ".join([str(len(kind)).encode(), kind, str(len(body)).encode(), body])
    key = load_pem_public_key(pem)
    assert isinstance(key, Ed25519PublicKey)
    [signature] = signed["signatures"]
    key.verify(b64decode(signature["sig"], validate=True), message)


async def own_key(api: Caller, app_services: Services) -> bytes:
    """The public key as an auditor gets it."""
    keys = (await api.get("/ledger/keys", headers={"Accept": "application/x-pem-file"})).text
    listed = (await api.get("/ledger/keys")).json
    [current] = [one for one in listed if one["keyId"] == app_services.signer.key_id]
    assert keys == "".join(one["publicKeyPem"] for one in listed)
    return str(current["publicKeyPem"]).encode()


async def test_anybody_with_the_public_key_can_verify_it(api: Caller, app_services: Services) -> None:
    verdict, _ = await decided(api)
    answer = await summary(api, verdict)
    pem = await own_key(api, app_services)
    verify(answer.json, pem)
    assert answer.json["payloadType"] == "application/vnd.in-toto+json"
    assert answer.json["signatures"][0]["keyid"] == app_services.signer.key_id
    said = opened(answer)
    assert said["subject"] == [{"name": "app", "digest": {"sha256": DIGEST.removeprefix("sha256:")}}]
    assert said["predicate"]["verificationResult"] == "PASSED"
    changed = {**answer.json, "payload": b64encode(b64decode(answer.json["payload"]) + b" ").decode()}
    for forged in (changed, {**answer.json, "payloadType": "application/json"}):
        with pytest.raises(InvalidSignature):
            verify(forged, pem)


async def test_a_negative_verdict_says_so(api: Caller) -> None:
    verdict, _ = await decided(api, requiredAttestations=["junit"])
    predicate = opened(await summary(api, verdict))["predicate"]
    assert (predicate["verificationResult"], predicate["verifiedLevels"]) == ("FAILED", ["FAILED"])


async def test_the_decision_of_a_gate_names_its_environment_and_policies(api: Caller) -> None:
    environment = (await api.post("/environments", {"name": unique("production")})).json["id"]
    flow = await api.make_flow()
    trail = (await api.make_trail(flow["id"]))["id"]
    await api.report_artifact(trail, DIGEST)
    attestation = await api.attest(trail, "junit")
    body = {"name": "release", "flowId": flow["id"], "requiredAttestationTypes": ["junit"]}
    policy = (await api.post("/deployment-policies", body)).json
    asked = {"artifactSha256": DIGEST, "environmentId": environment, "flowId": flow["id"]}
    decision = (await api.post("/gate/evaluate", asked, 200)).json
    stated = opened(await summary(api, decision["id"]))
    predicate = stated["predicate"]
    assert stated["subject"][0]["name"] == "app"
    assert predicate["resourceUri"].endswith(f"/api/v1/environments/{environment}")
    [cited] = json.loads(b64decode(predicate["policy"]["content"]))["policies"]
    assert (cited["id"], cited["version"]) == (policy["id"], 1)
    [used] = predicate["inputAttestations"]
    assert used["uri"].endswith(f"/api/v1/trails/{trail}/attestations/{attestation['id']}")
    assert predicate["verificationResult"] == "PASSED"


async def test_it_is_the_same_whenever_it_is_asked_for(api: Caller, app_services: Services) -> None:
    verdict, artifact = await decided(api)
    first = await summary(api, verdict)
    await api.record_provenance(artifact)
    await api.attest(artifact["trailId"], "junit", "FAILED")
    assert (await summary(api, verdict)).text == first.text
    await Sealer()(app_services)
    assert (await summary(api, verdict)).text == first.text


async def test_the_media_type_of_envelopes_is_served_if_it_is_asked_for(api: Caller) -> None:
    verdict, _ = await decided(api)
    answer = await summary(api, verdict, headers={"Accept": ENVELOPE})
    assert answer.headers["Content-Type"].startswith(ENVELOPE)
    assert answer.json == (await summary(api, verdict)).json


async def levels_with(api: Caller, provenance: dict[str, Any]) -> list[str]:
    """The levels that are claimed for an artifact with this provenance."""
    flow = await api.make_flow()
    artifact = await api.report_artifact((await api.make_trail(flow["id"]))["id"], DIGEST)
    await api.record_provenance(artifact, **provenance)
    levels: list[str] = opened(await summary(api, await asserted(api, flow["id"])))["predicate"]["verifiedLevels"]
    return levels


async def test_a_build_level_is_claimed_only_if_a_registered_key_vouches_for_it(api: Caller) -> None:
    one = new_signer()
    await api.post("/provenance-keys", {"name": "ci", "publicKeyPem": one.pem})
    build = Build(builder_id="ci.example.com")
    claim = ProvenanceClaim(DIGEST, build, BuilderType.GENERIC, SlsaLevel.L3)
    signed = {"slsaLevel": "L3", "provenanceSignature": std(one.sign(claim.statement()))}
    assert await levels_with(api, signed) == ["SLSA_BUILD_LEVEL_3"]
    assert await levels_with(api, {"slsaLevel": "L3"}) == ["SLSA_BUILD_LEVEL_UNEVALUATED"]
    stated = {"slsaLevel": "L3", "builderId": None, "envelope": envelope(statement(), one)}
    assert await levels_with(api, stated) == ["SLSA_BUILD_LEVEL_1"]


async def test_an_artifact_that_is_not_named_by_a_sha256_is_refused(api: Caller) -> None:
    verdict = await asserted(api, (await api.make_flow())["id"], "latest")
    assert "'latest': only a SHA-256" in (await summary(api, verdict, 422)).json["message"]


STATES = ("waiting", "sealed", "covered by a checkpoint")


async def brought_to(state: str, services: Services) -> None:
    if state == "sealed":
        await Sealer().seal_round(services)
    elif state != "waiting":
        await Sealer()(services)


@pytest.mark.parametrize("state", STATES)
async def test_a_verdict_is_proven_in_every_state_of_its_event(api: Caller, app_services: Services, state: str) -> None:
    verdict, _ = await decided(api)
    await brought_to(state, app_services)
    await summary(api, verdict)


async def change(services: Services, sql: str, *args: Any) -> None:
    async with services.database.transaction() as tx:
        await tx.execute("SET LOCAL trailgate.retention = 'on'")
        assert await tx.execute(sql, *args) > 0


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(
    "change_to",
    [
        "outcome = 'COMPLIANT'",
        "digest = 'sha256:' || repeat('0', 64)",
        "environment_id = id",
        "inputs = inputs || '{\"flowVersion\": 2}'",
        "created_at = created_at + interval '1 year'",
    ],
)
async def test_an_altered_verdict_is_never_signed(
    api: Caller, app_services: Services, state: str, change_to: str
) -> None:
    verdict, _ = await decided(api, requiredAttestations=["junit"])
    await brought_to(state, app_services)
    await change(app_services, f"UPDATE verdicts SET {change_to} WHERE id = $1", UUID(verdict))
    refused = await summary(api, verdict, 409)
    assert "is altered" in refused.json["message"]
    assert "payload" not in refused.json


async def test_a_verdict_that_somebody_wrote_into_the_database_is_never_signed(
    api: Caller, app_services: Services
) -> None:
    """With a fitting event and leaf, which whoever owns the database can compute; but not its code."""
    verdict, _ = await decided(api)
    await change(app_services, "UPDATE unsealed SET mac = '\\x00' WHERE org_id = $1", api.tenant.org_id)
    assert "queue of waiting events" in (await summary(api, verdict, 409)).json["message"]
    await change(app_services, "DELETE FROM unsealed WHERE org_id = $1", api.tenant.org_id)
    assert "queue of waiting events" in (await summary(api, verdict, 409)).json["message"]
    await change(app_services, "DELETE FROM audit_events WHERE record_id = $1", UUID(verdict))
    assert "is missing" in (await summary(api, verdict, 409)).json["message"]


async def test_a_forged_event_before_the_sealed_one_does_not_prove_an_altered_verdict(
    api: Caller, app_services: Services
) -> None:
    """It fits the altered row and waits, while the entry of the true event is in the ledger."""
    verdict, _ = await decided(api, requiredAttestations=["junit"])
    await Sealer()(app_services)
    await change(app_services, "UPDATE verdicts SET outcome = 'COMPLIANT' WHERE id = $1", UUID(verdict))
    async with app_services.database.transaction() as tx:
        tx.now -= timedelta(hours=1)
        row = await tx.row("SELECT * FROM verdicts WHERE id = $1", UUID(verdict))
        assert row
        await append(tx, api.tenant, [Event(AuditName.GATE_ALLOWED, NOBODY, VERDICT, row, {})])
        await tx.execute("DELETE FROM unsealed WHERE org_id = $1", api.tenant.org_id)
    assert "is altered" in (await summary(api, verdict, 409)).json["message"]


async def test_an_entry_without_checkpoint_counts_only_under_a_head_that_we_wrote(
    api: Caller, app_services: Services
) -> None:
    verdict, _ = await decided(api)
    await brought_to("sealed", app_services)
    await change(app_services, "UPDATE ledger_heads SET mac = '\\x00' WHERE org_id = $1", api.tenant.org_id)
    assert "is altered" in (await summary(api, verdict, 409)).json["message"]


@pytest.mark.parametrize("table", ["provenance", "provenance_checks"])
async def test_a_level_behind_altered_provenance_is_never_signed(
    api: Caller, app_services: Services, table: str
) -> None:
    verdict, artifact = await decided(api)
    await api.record_provenance(artifact)
    verdict = await asserted(api, artifact["flowId"])
    raised = {"provenance": "slsa_level = 'L3'", "provenance_checks": "status = 'VERIFIED'"}[table]
    await change(app_services, f"UPDATE {table} SET {raised} WHERE org_id = $1", api.tenant.org_id)
    assert "is altered" in (await summary(api, verdict, 409)).json["message"]


async def test_a_stranger_and_a_key_of_another_flow_get_nothing(api: Caller, http: Any, app_services: Services) -> None:
    verdict, _ = await decided(api)
    await summary(await found_organisation(http, app_services), verdict, 404)
    other = (await api.make_flow())["id"]
    holder = await make_holder(app_services, api.tenant, "reporter", scopes=[f"flow:{other}"])
    await summary(replace(api, key=holder.key), verdict, 404)
    await summary(api, str(uuid4()), 404)
