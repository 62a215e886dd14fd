"""The whole day of a CI job by API: from a flow with a template to a proven verdict (issue 3, "It is done when")."""

import base64
import json
from hashlib import sha256
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.journeys.client import Client
from tests.journeys.test_github import verified

TEMPLATE = """
version: 1
trail:
  attestations:
    - {name: review, type: code-review}
    - {name: pen-test, type: generic, if: '${{ flow.tags.tier == "gold" }}'}
  artifacts:
    - name: shop
      attestations:
        - {name: unit, type: junit}
        - {name: scan, type: sarif}
"""
JUNIT = """
<testsuite tests="2" failures="{failures}"><testcase name="a"/><testcase name="b">{rest}</testcase></testsuite>
"""
SARIF: dict[str, Any] = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "scanner"}}, "results": []}]}
GITHUB = {
    "GITHUB_SHA": "9f2c1e7ab54d03f86e1d2c3b4a5968778695a4b3",
    "GITHUB_REF_NAME": "main",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "example/shop",
    "GITHUB_RUN_ID": "42",
    "GITHUB_ACTOR": "ada",
}


async def test_a_ci_job_can_do_its_whole_day_with_an_http_client(admin: Client, unique: str) -> None:
    digest = sha256(unique.encode()).hexdigest()
    flow = await admin.post("/flows", {"name": unique, "tags": {"tier": "gold"}, "templateYaml": TEMPLATE})
    trail = await begin_trail(admin, flow["id"])
    here = f"/trails/{trail['id']}"
    assert await allowed(admin, flow, digest) == (False, ["review", "pen-test"])

    artifact = await admin.post(f"{here}/artifacts", {"name": "shop", "tag": "1.0", "sha256Digest": digest})
    assert await allowed(admin, flow, digest) == (False, ["review", "pen-test", "unit", "scan"])
    for kind, name in (("code-review", "review"), ("generic", "pen-test")):
        await attest(admin, here, kind, name, status="PASSED")
    unit = await attest(admin, here, "junit", "unit", artifactFingerprint=digest)
    scan = await attest(admin, here, "sarif", "scan", artifactFingerprint=digest)
    assert (await admin.get(here))["status"] == "PENDING"

    await upload(admin, here, unit, "junit.xml", JUNIT.format(failures=1, rest="<failure/>"))
    await upload(admin, here, scan, "scan.sarif", json.dumps(SARIF))
    assert (await admin.get(here))["status"] == "NON_COMPLIANT"
    assert await allowed(admin, flow, digest) == (False, ["unit"])
    again = await attest(admin, here, "junit", "unit", artifactFingerprint=digest)
    await upload(admin, here, again, "junit.xml", JUNIT.format(failures=0, rest=""))
    assert (await admin.get(here))["status"] == "COMPLIANT"

    await prove_provenance(admin, here, artifact["id"], digest, unique)
    verdict = await the_answer(admin, flow, digest)
    assert verdict["compliant"] is True
    recomputed = await admin.get(f"/verdicts/{verdict['verdictId']}/recompute")
    assert (recomputed["confirmed"], recomputed["recomputedOutcome"]) == (True, "COMPLIANT")
    for record in (verdict["verdictId"], artifact["id"], again, trail["id"], flow["id"]):
        assert (await verified(admin, record))["result"] == "verified"
    told = [event["eventType"] for event in await admin.get(f"{here}/audit")]
    assert {
        "TRAIL_CREATED",
        "ARTIFACT_REPORTED",
        "ATTESTATION_RECORDED",
        "EVIDENCE_UPLOADED",
        "ATTESTATION_PROCESSED",
    } < set(told)
    assert {"PROVENANCE_RECORDED", "PROVENANCE_VERIFIED", "GATE_BLOCKED", "GATE_ALLOWED"} < set(told)


async def begin_trail(admin: Client, flow_id: str) -> Any:
    headers = {"X-Factstore-CI-Context": "github-actions"}
    body = {"flowId": flow_id, "ciEnvironment": GITHUB}
    trail = await admin.ask("POST", "/trails", expect=201, json=body, headers=headers)
    assert (trail["gitCommitSha"], trail["gitBranch"], trail["gitAuthor"]) == (GITHUB["GITHUB_SHA"], "main", "ada")
    assert trail["buildUrl"] == "https://github.com/example/shop/actions/runs/42"
    return trail


async def the_answer(admin: Client, flow: Any, digest: str) -> Any:
    return await admin.post("/assert", {"flowId": flow["id"], "sha256Digest": digest}, expect=200)


async def allowed(admin: Client, flow: Any, digest: str) -> tuple[bool, list[str]]:
    answer = await the_answer(admin, flow, digest)
    return answer["compliant"], answer["missingAttestationNames"]


async def attest(admin: Client, here: str, kind: str, name: str, **fields: Any) -> str:
    made: str = (await admin.post(f"{here}/attestations", {"type": kind, "name": name, **fields}))["id"]
    return made


async def upload(admin: Client, here: str, attestation: str, name: str, content: str) -> None:
    form = aiohttp.FormData()
    form.add_field("file", content.encode(), filename=name)
    kept = await admin.ask("POST", f"{here}/attestations/{attestation}/evidence", expect=201, data=form)
    assert kept["sha256Hash"] == sha256(content.encode()).hexdigest()
    async with admin.session.get(f"/api/v1/evidence/{kept['sha256Hash']}") as response:
        assert (response.status, await response.text()) == (200, content)


async def prove_provenance(admin: Client, here: str, artifact: str, digest: str, name: str) -> None:
    key = Ed25519PrivateKey.generate()
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    await admin.post("/provenance-keys", {"name": name, "publicKeyPem": pem})
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "shop", "digest": {"sha256": digest}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {"buildType": "https://example.com/build", "externalParameters": {}},
            "runDetails": {"builder": {"id": "https://github.com/actions/runner"}},
        },
    }
    kind, payload = "application/vnd.in-toto+json", json.dumps(statement).encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)
    envelope = {
        "payloadType": kind,
        "payload": base64.b64encode(payload).decode(),
        "signatures": [{"sig": base64.b64encode(key.sign(signed)).decode()}],
    }
    body = {"builderType": "GITHUB_ACTIONS", "envelope": envelope}
    recorded = await admin.post(f"{here}/artifacts/{artifact}/provenance", body)
    assert recorded["provenanceStatus"] == "PROVENANCE_VERIFIED"
    checked = await admin.post(f"{here}/artifacts/{artifact}/provenance/verify", expect=200)
    assert checked["provenanceStatus"] == "PROVENANCE_VERIFIED"
