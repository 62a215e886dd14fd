"""Policies that are attached to an environment count for the state of what runs there, whatever its flows require."""

from dataclasses import replace
from typing import Any

import pytest

from storage.services import Services
from tests.api.caller import Caller, make_holder, unique
from tests.api.environments.reporting import A, B, line, make_environment, make_logical, report
from tests.api.gates.asking import a_digest, attached, make_policy, released
from tests.api.gates.people import requested, somebody
from tests.api.gates.scanning import scan
from tests.integrations.formats.dsse.signing import about, envelope, signer, statement

pytestmark = pytest.mark.asyncio(loop_scope="session")

GOOD, BAD, UNKNOWN = "COMPLIANT", "NON_COMPLIANT", "UNKNOWN"


async def running(api: Caller, flow: Any = None, name: str = "api") -> tuple[str, Any]:
    """An environment in which one artifact runs, that a flow has reported."""
    environment, artifact = await make_environment(api), await released(api, flow, imageName=name)
    await report(api, environment, line(name, artifact["digest"]))
    return environment, artifact


async def compliance_of(api: Caller, environment: str, **parameters: Any) -> Any:
    return (await api.get(f"/environments/{environment}/compliance", params=parameters)).json


async def told(api: Caller, environment: str) -> tuple[str, list[str]]:
    """The state of an environment in which one artifact runs, with the codes of its reasons."""
    found = await compliance_of(api, environment)
    [artifact] = found["artifacts"]
    assert found["complianceState"] == artifact["complianceState"]
    return found["complianceState"], [one["code"] for one in artifact["reasons"]]


async def decide(api: Caller, trail: str, how: str, **fields: Any) -> None:
    await getattr(await somebody(api), how)(await requested(api, trail, **fields))


async def test_what_policies_require_is_missing_then_fails_then_passes(api: Caller) -> None:
    environment, artifact = await running(api)
    assert await told(api, environment) == (UNKNOWN, ["NOTHING_REQUIRED"])
    policy = await attached(api, environment, requiredAttestationTypes=["junit"])
    found = await compliance_of(api, environment)
    assert found["policies"] == [{"id": policy["id"], "name": policy["name"], "version": 1}]
    [shown] = found["artifacts"]
    assert shown["reasons"] == [
        {
            "code": "ATTESTATION_MISSING",
            "message": f"policy {policy['name']}: attestation junit is missing",
            "attestationType": "junit",
            "attestationName": None,
            "attestationId": None,
            "flowId": artifact["flow"],
            "trailId": artifact["trail"],
            "policyId": policy["id"],
        }
    ]
    assert (shown["complianceState"], shown["flowId"], shown["trailId"]) == (BAD, artifact["flow"], artifact["trail"])
    await api.attest(artifact["trail"], "junit", "FAILED")
    [shown] = (await compliance_of(api, environment))["artifacts"]
    assert [(one["code"], one["policyId"]) for one in shown["reasons"]] == [
        ("ATTESTATION_FAILED", None),  # of the flow, as of whatever fails where nothing is required
        ("ATTESTATION_FAILED", policy["id"]),
    ]
    await api.attest(artifact["trail"], "junit")
    assert await told(api, environment) == (GOOD, [])


async def test_flows_and_policies_both_have_their_say(api: Caller) -> None:
    environment, artifact = await running(api, await api.make_flow(requiredAttestations=["BUILD"]))
    await attached(api, environment, requiredAttestationTypes=["junit"])
    assert await told(api, environment) == (BAD, ["ATTESTATION_MISSING", "ATTESTATION_MISSING"])
    await api.attest(artifact["trail"], "junit")
    found = (await compliance_of(api, environment, reason="ATTESTATION_MISSING"))["artifacts"]
    assert [(one["attestationType"], one["policyId"]) for one in found[0]["reasons"]] == [("BUILD", None)]
    await api.attest(artifact["trail"], "BUILD")
    assert await told(api, environment) == (GOOD, [])


async def test_provenance_has_to_be_recorded_also_of_what_nobody_reported(api: Caller) -> None:
    environment, artifact = await running(api)
    stray = await make_environment(api)
    await report(api, stray, line("stray", a_digest()))
    for place in (environment, stray):
        await attached(api, place, requiredAttestationTypes=["BUILD"])
    await api.attest(artifact["trail"], "BUILD")
    assert await told(api, stray) == (UNKNOWN, ["NOT_REPORTED"])
    for place in (environment, stray):
        await attached(api, place, enforceProvenance=True)
    assert await told(api, environment) == (BAD, ["PROVENANCE_MISSING"])
    assert await told(api, stray) == (BAD, ["NOT_REPORTED", "PROVENANCE_MISSING"])
    found = (await compliance_of(api, stray, reason="PROVENANCE_MISSING"))["artifacts"]
    assert found == (await compliance_of(api, stray, reason="NOT_REPORTED"))["artifacts"]
    assert (await compliance_of(api, stray, reason="SIGNATURE_MISSING"))["artifacts"] == []
    assert found[0]["reasons"][1]["message"].endswith("no provenance is recorded for stray")
    await api.record_provenance({"id": artifact["id"], "trailId": artifact["trail"]})
    assert await told(api, environment) == (GOOD, [])


@pytest.mark.parametrize(
    ("demand", "code"),
    [({"requireVerifiedProvenance": True}, "PROVENANCE_UNVERIFIED"), ({"requireSignature": True}, "SIGNATURE_MISSING")],
)
async def test_a_signature_is_one_of_a_registered_key(api: Caller, demand: Any, code: str) -> None:
    (unsigned, plain), (signed, artifact) = await running(api), await running(api)
    for place in (unsigned, signed):
        await attached(api, place, **demand)
    key = (await api.post("/provenance-keys", {"name": unique("key"), "publicKeyPem": signer().pem})).json
    await api.record_provenance({"id": plain["id"], "trailId": plain["trail"]})
    subject = statement(subject=about(artifact["digest"]))
    path = f"/trails/{artifact['trail']}/artifacts/{artifact['id']}/provenance"
    await api.post(path, envelope(subject, signer()))
    assert (await told(api, unsigned), await told(api, signed)) == ((BAD, [code]), (GOOD, []))
    await api.send("DELETE", f"/provenance-keys/{key['id']}")
    assert await told(api, signed) == (BAD, [code])


async def test_security_scans_have_to_keep_their_thresholds(api: Caller) -> None:
    environment, artifact = await running(api)
    await attached(api, environment, blockOnFailedScan=True)
    assert await told(api, environment) == (GOOD, [])
    await scan(api, artifact["trail"], criticalVulnerabilities=1)
    assert "SECURITY_SCAN_FAILED" in (await told(api, environment))[1]
    assert len((await compliance_of(api, environment, reason="SECURITY_SCAN_FAILED"))["artifacts"]) == 1
    await scan(api, artifact["trail"], criticalVulnerabilities=0)
    assert await told(api, environment) == (GOOD, [])


async def test_bundles_of_opa_are_left_to_the_gate(api: Caller) -> None:
    environment, _ = await running(api)
    await attached(api, environment, opaBundles=["release"])
    assert await told(api, environment) == (UNKNOWN, ["NOTHING_REQUIRED"])


async def test_an_approval_counts_in_the_environment_that_it_is_limited_to(api: Caller) -> None:
    here, artifact = await running(api)
    there = await make_environment(api)
    await report(api, there, line("api", artifact["digest"]))
    for place in (here, there):
        await attached(api, place, enforceApprovals=True)
    assert await told(api, here) == await told(api, there) == (BAD, ["APPROVAL_MISSING"])
    await decide(api, artifact["trail"], "approve", environmentId=here)
    assert (await told(api, here), await told(api, there)) == ((GOOD, []), (BAD, ["APPROVAL_MISSING"]))
    listed = {one["id"]: one["complianceState"] for one in (await api.get("/environments")).json}
    assert listed == {here: GOOD, there: BAD}
    await decide(api, artifact["trail"], "reject")
    assert await told(api, here) == await told(api, there) == (BAD, ["APPROVAL_REJECTED"])


async def test_the_whole_trail_has_to_be_compliant(api: Caller) -> None:
    entry = "{name: %s, attestations: [{name: unit, type: junit}]}"
    flow = await api.make_flow(templateYaml=f"trail: {{artifacts: [{entry % 'api'}, {entry % 'web'}]}}")
    environment, artifact = await running(api, flow)
    await api.attest(artifact["trail"], "junit", name="unit", targetArtifact="api")
    assert await told(api, environment) == (GOOD, [])
    await attached(api, environment, enforceTrailCompliance=True)
    assert await told(api, environment) == (BAD, ["TRAIL_PENDING"])
    await api.report_artifact(artifact["trail"], a_digest(), imageName="web")
    await api.attest(artifact["trail"], "junit", "FAILED", name="unit", targetArtifact="web")
    assert await told(api, environment) == (BAD, ["TRAIL_NON_COMPLIANT"])
    await api.attest(artifact["trail"], "junit", name="unit", targetArtifact="web")
    assert await told(api, environment) == (GOOD, [])


async def test_a_trail_that_needs_an_approval_is_compliant_where_it_has_one(api: Caller) -> None:
    environment, artifact = await running(api, await api.make_flow(requiresApproval=True))
    await api.attest(artifact["trail"], "BUILD")
    await attached(api, environment, enforceTrailCompliance=True)
    assert await told(api, environment) == (BAD, ["APPROVAL_MISSING", "APPROVAL_MISSING"])
    await decide(api, artifact["trail"], "approve")
    assert await told(api, environment) == (GOOD, [])


@pytest.mark.parametrize("entry", ["sha256", "artifactName", "namePattern"])
async def test_what_the_allow_list_lets_through_is_exempt_from_policies_alone(api: Caller, entry: str) -> None:
    environment, artifact = await running(api, await api.make_flow(requiredAttestations=["BUILD"]), "legacy")
    await attached(api, environment, requiredAttestationTypes=["junit"])
    await api.attest(artifact["trail"], "BUILD")
    value = {"sha256": artifact["digest"], "artifactName": "legacy", "namePattern": "^leg"}[entry]
    path = f"/environments/{environment}/allowlist"
    added = (await api.post(path, {entry: value, "reason": "incident 4711"})).json
    assert await told(api, environment) == (GOOD, [])
    await api.attest(artifact["trail"], "BUILD", "FAILED")
    assert await told(api, environment) == (BAD, ["ATTESTATION_FAILED"])
    await api.attest(artifact["trail"], "BUILD")
    await api.send("DELETE", f"{path}/{added['id']}")
    assert await told(api, environment) == (BAD, ["ATTESTATION_MISSING"])


async def test_a_name_on_the_allow_list_exempts_what_runs_under_it(api: Caller) -> None:
    """And not the same digest under another name."""
    environment, artifact = await running(api)
    await report(api, environment, *(line(name, artifact["digest"]) for name in ("allowed", "other")))
    await attached(api, environment, requiredAttestationTypes=["junit"])
    await api.post(f"/environments/{environment}/allowlist", {"artifactName": "allowed", "reason": "incident 4711"})
    found = {
        one["artifactName"]: one["complianceState"] for one in (await compliance_of(api, environment))["artifacts"]
    }
    assert found == {"allowed": UNKNOWN, "other": BAD}
    [shown] = (await api.get(f"/artifacts?sha256={artifact['digest']}")).json
    assert shown["complianceState"] == UNKNOWN
    places = {one["artifactName"]: one["complianceState"] for one in shown["runningInEnvironments"]}
    assert places == found
    latest = (await api.get(f"/environments/{environment}/snapshots/latest")).json["artifacts"]
    assert {one["artifactName"]: one["complianceState"] for one in latest} == found


async def test_conditions_and_exceptions_hold_here_as_well(api: Caller) -> None:
    rule = "{required: true, exceptions: [{if: 'artifact.name == \"legacy\"'}]}"
    legacy, stray = (await running(api, name="legacy"))[0], await make_environment(api)
    await report(api, stray, line("legacy", A), line("stray", B))
    for place in (legacy, stray):
        await attached(api, place, policyYaml=f"artifacts: {{provenance: {rule}}}")
    assert await told(api, legacy) == (UNKNOWN, ["NOTHING_REQUIRED"])
    found = {one["artifactName"]: one["complianceState"] for one in (await compliance_of(api, stray))["artifacts"]}
    assert found == {"legacy": UNKNOWN, "stray": BAD}


async def test_detached_inactive_and_deleted_policies_demand_nothing(api: Caller) -> None:
    environment, _ = await running(api)
    policies = [await make_policy(api, requiredAttestationTypes=["junit"]) for _ in range(3)]
    bodies = [{"policyId": one["id"], "environmentId": environment} for one in policies]
    attachment, *_ = [(await api.post("/policy-attachments", body)).json["id"] for body in bodies]
    assert len((await compliance_of(api, environment))["policies"]) == 3
    assert len((await told(api, environment))[1]) == 3
    await api.send("DELETE", f"/policy-attachments/{attachment}")
    await api.send("PUT", f"/policies/{policies[1]['id']}", json={"isActive": False})
    await api.send("DELETE", f"/policies/{policies[2]['id']}")
    assert await told(api, environment) == (UNKNOWN, ["NOTHING_REQUIRED"])
    assert (await compliance_of(api, environment))["policies"] == []


async def test_every_answer_about_environments_counts_them(api: Caller) -> None:
    good, artifact = await running(api, await api.make_flow(requiredAttestations=["BUILD"]))
    await api.attest(artifact["trail"], "BUILD")
    bad = await make_environment(api)
    await report(api, bad, line("api", artifact["digest"]))
    logical = await make_logical(api, good, bad)
    path = f"/logical-environments/{logical}/snapshots/latest"
    assert (await api.get(path)).json["complianceStatus"] == GOOD
    await attached(api, bad, requiredAttestationTypes=["junit"])
    merged = (await api.get(path)).json
    assert merged["complianceStatus"] == BAD
    assert {one["physicalEnvId"]: one["complianceState"] for one in merged["memberSnapshots"]} == {good: GOOD, bad: BAD}
    assert {one["id"]: one["complianceState"] for one in (await api.get("/environments")).json} == {
        good: GOOD,
        bad: BAD,
    }
    assert (await api.get(f"/environments/{bad}")).json["complianceState"] == BAD
    [shown] = (await api.get(f"/artifacts?sha256={artifact['digest']}")).json
    assert shown["complianceState"] == GOOD
    places = {one["environmentId"]: one["complianceState"] for one in shown["runningInEnvironments"]}
    assert places == {good: GOOD, bad: BAD}


async def test_scopes_change_no_state_but_hide_what_was_found(app_services: Services, api: Caller) -> None:
    environment, artifact = await running(api)
    policy = await attached(api, environment, requiredAttestationTypes=["junit"])
    scopes = {"flow": f"flow:{artifact['flow']}", "environment": f"environment:{environment}"}

    async def seen(*names: str) -> Any:
        key = (await make_holder(app_services, api.tenant, "admin", scopes=[scopes[name] for name in names])).key
        found = await compliance_of(replace(api, key=key), environment)
        assert found["complianceState"] == BAD
        return found["artifacts"][0]

    hidden = await seen("environment")
    [reason] = hidden["reasons"]
    assert (reason["code"], reason["policyId"]) == ("OUT_OF_SCOPE", policy["id"])
    assert reason["message"] == "a flow outside the scopes of the key decides"
    assert {hidden["flowId"], hidden["trailId"], reason["flowId"], reason["attestationType"]} == {None}
    readable = await seen("environment", "flow")
    assert (readable["flowId"], readable["reasons"][0]["code"]) == (artifact["flow"], "ATTESTATION_MISSING")
