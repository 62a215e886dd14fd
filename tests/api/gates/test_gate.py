"""The gate over the wire: what each demand of a policy lets through, and what it blocks."""

from typing import Any
from uuid import uuid4

import pytest

from tests.api.caller import Caller, unique
from tests.api.environments.reporting import make_environment
from tests.api.gates.asking import a_digest, ask, attached, codes, deployment_policy, make_policy, released

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_without_a_policy_the_default_decides_and_says_so(api: Caller) -> None:
    artifact = await released(api)
    answer = await ask(api, artifact["digest"])
    assert (answer["decision"], answer["allowed"], answer["policiesEvaluated"]) == ("ALLOWED", True, 0)
    assert answer["reason"] == "no policy applies, and the default is ALLOWED"
    assert (answer["blockReasons"], answer["policies"], answer["policyId"]) == ([], [], None)
    assert (answer["flowId"], answer["trailId"]) == (artifact["flow"], artifact["trail"])


async def test_a_required_attestation_is_missing_then_fails_then_passes(api: Caller) -> None:
    artifact = await released(api)
    policy = await deployment_policy(api, artifact["flow"], requiredAttestationTypes=["junit"])
    missing = await ask(api, artifact["digest"])
    assert (missing["allowed"], codes(missing)) == (False, ["ATTESTATION_MISSING"])
    assert policy["name"] in missing["reason"]
    assert "junit" in missing["reason"]
    assert missing["blockReasons"] == missing["reasons"] == [missing["reason"]]
    assert (missing["policyId"], missing["policyName"]) == (policy["id"], policy["name"])
    assert missing["policies"] == [{"id": policy["id"], "name": policy["name"], "version": 1, "outcome": "FAILED"}]
    await api.attest(artifact["trail"], "junit", "FAILED")
    assert codes(await ask(api, artifact["digest"])) == ["ATTESTATION_FAILED"]
    await api.attest(artifact["trail"], "junit")
    passed = await ask(api, artifact["digest"])
    assert (passed["allowed"], passed["reason"], passed["policies"][0]["outcome"]) == (
        True,
        "the policy is fulfilled",
        "PASSED",
    )


async def test_a_later_failure_revokes_what_passed(api: Caller) -> None:
    artifact = await released(api)
    await deployment_policy(api, artifact["flow"], requiredAttestationTypes=["junit"])
    await api.attest(artifact["trail"], "junit")
    assert (await ask(api, artifact["digest"]))["allowed"]
    await api.attest(artifact["trail"], "junit", "FAILED")
    assert not (await ask(api, artifact["digest"]))["allowed"]


async def test_evidence_of_another_artifact_does_not_count(api: Caller) -> None:
    flow = await api.make_flow()
    artifact = await released(api, flow)
    other = a_digest()
    await api.report_artifact(artifact["trail"], other, imageName="other")
    await deployment_policy(api, flow["id"], requiredAttestationTypes=["junit"])
    await api.attest(artifact["trail"], "junit", artifactFingerprint=other)
    assert codes(await ask(api, artifact["digest"])) == ["ATTESTATION_MISSING"]
    assert (await ask(api, other))["allowed"]


async def test_an_artifact_that_nobody_reported_is_blocked(api: Caller) -> None:
    """Also if the policies ask for provenance only, of which there is nothing to check."""
    environment = await make_environment(api)
    await attached(api, environment, enforceProvenance=True)
    answer = await ask(api, a_digest(), environmentId=environment)
    assert (answer["allowed"], codes(answer)) == (False, ["NOT_REPORTED"])
    assert (await ask(api, a_digest()))["allowed"] is False


async def test_an_artifact_of_another_flow_is_unknown_in_this_one(api: Caller) -> None:
    artifact, flow = await released(api), await api.make_flow()
    assert (await ask(api, artifact["digest"], flowId=artifact["flow"]))["allowed"]
    assert codes(await ask(api, artifact["digest"], flowId=flow["id"])) == ["NOT_REPORTED"]


async def test_provenance_has_to_be_recorded(api: Caller) -> None:
    artifact = await released(api)
    await deployment_policy(api, artifact["flow"], enforceProvenance=True)
    assert codes(await ask(api, artifact["digest"])) == ["PROVENANCE_MISSING"]
    await api.record_provenance({"id": artifact["id"], "trailId": artifact["trail"]})
    answer = await ask(api, artifact["digest"])
    assert (answer["allowed"], answer["signatureVerified"]) == (True, None)


@pytest.mark.parametrize(
    ("demand", "code"),
    [({"requireVerifiedProvenance": True}, "PROVENANCE_UNVERIFIED"), ({"requireSignature": True}, "SIGNATURE_MISSING")],
)
async def test_provenance_without_a_valid_signature_does_not_do(api: Caller, demand: Any, code: str) -> None:
    artifact = await released(api)
    await deployment_policy(api, artifact["flow"], **demand)
    await api.record_provenance({"id": artifact["id"], "trailId": artifact["trail"]})
    answer = await ask(api, artifact["digest"])
    assert (codes(answer), answer["signatureVerified"]) == ([code], False)


async def test_the_trail_has_to_be_compliant(api: Caller) -> None:
    flow = await api.make_flow(requiredAttestations=["BUILD"])
    artifact = await released(api, flow)
    await deployment_policy(api, flow["id"], enforceTrailCompliance=True)
    assert codes(await ask(api, artifact["digest"])) == ["TRAIL_PENDING"]
    await api.attest(artifact["trail"], "BUILD")
    assert (await ask(api, artifact["digest"]))["allowed"]
    await api.attest(artifact["trail"], "LINT", "FAILED")
    assert codes(await ask(api, artifact["digest"])) == ["TRAIL_NON_COMPLIANT"]


async def test_a_security_scan_must_not_have_breached_its_thresholds(api: Caller) -> None:
    artifact = await released(api)
    await deployment_policy(api, artifact["flow"], blockOnFailedScan=True)
    assert (await ask(api, artifact["digest"]))["allowed"]
    scan = {"tool": "trivy", "criticalVulnerabilities": 1, "target": "app:1"}
    await api.post(f"/trails/{artifact['trail']}/security-scans", scan)
    blocked = await ask(api, artifact["digest"])
    assert codes(blocked) == ["SECURITY_SCAN_FAILED"]
    assert "trivy (critical: 1 found, at most 0 allowed)" in blocked["reason"]
    assert (await api.get(f"/verdicts/{blocked['id']}/recompute")).json["confirmed"]
    await api.attest(artifact["trail"], "LINT", "FAILED")
    await api.post(f"/trails/{artifact['trail']}/security-scans", {**scan, "criticalVulnerabilities": 0})
    assert (await ask(api, artifact["digest"]))["allowed"]


async def test_drift_closes_the_gate_where_its_policy_says_so(api: Caller) -> None:
    environment = await make_environment(api, driftPolicy="BLOCK")
    artifact = await released(api)
    line = {"artifactName": "app", "artifactSha256": a_digest(), "instanceCount": 1}
    await api.post(f"/environments/{environment}/snapshots", {"artifacts": [line]})
    await api.post(f"/environments/{environment}/baselines", {})
    assert (await ask(api, artifact["digest"], environmentId=environment))["allowed"]
    await api.post(f"/environments/{environment}/snapshots", {"artifacts": []})
    assert codes(await ask(api, artifact["digest"], environmentId=environment)) == ["ENVIRONMENT_DRIFTED"]
    assert (await ask(api, artifact["digest"]))["allowed"]


@pytest.mark.parametrize("entry", ["sha256", "artifactName", "namePattern"])
async def test_what_the_allow_list_lets_through_is_allowed(api: Caller, entry: str) -> None:
    environment = await make_environment(api)
    await attached(api, environment, requiredAttestationTypes=["junit"])
    name = unique("app")
    artifact = await released(api, imageName=name)
    value = {"sha256": artifact["digest"], "artifactName": name, "namePattern": f"^{name}$"}[entry]
    assert not (await ask(api, artifact["digest"], environmentId=environment))["allowed"]
    body = {entry: value, "reason": "incident 4711"}
    added = (await api.post(f"/environments/{environment}/allowlist", body)).json
    answer = await ask(api, artifact["digest"], environmentId=environment)
    assert (answer["allowed"], answer["policiesEvaluated"]) == (True, 0)
    assert (answer["allowListEntryId"], "incident 4711" in answer["reason"]) == (added["id"], True)
    uses = (await api.get(f"/environments/{environment}/allowlist/{added['id']}/uses")).json
    assert [one["artifactSha256"] for one in uses] == [artifact["digest"]]


async def test_the_allow_list_lets_an_unknown_artifact_through_by_its_digest_only(api: Caller) -> None:
    environment, digest = await make_environment(api), a_digest()
    path = f"/environments/{environment}/allowlist"
    await api.post(path, {"namePattern": ".*", "reason": "everything that has a name"})
    assert not (await ask(api, digest, environmentId=environment))["allowed"]
    await api.post(path, {"sha256": digest, "reason": "hotfix"})
    assert (await ask(api, digest, environmentId=environment))["allowed"]


async def test_policies_of_other_environments_and_flows_do_not_apply(api: Caller) -> None:
    here, there = await make_environment(api), await make_environment(api)
    artifact = await released(api)
    elsewhere = await deployment_policy(api, artifact["flow"], environmentId=there, requiredAttestationTypes=["x"])
    await attached(api, there, requiredAttestationTypes=["x"])
    await deployment_policy(api, (await api.make_flow())["id"], requiredAttestationTypes=["x"])
    assert (await ask(api, artifact["digest"], environmentId=here))["policiesEvaluated"] == 0
    assert (await ask(api, artifact["digest"]))["policiesEvaluated"] == 0
    blocked = await ask(api, artifact["digest"], environmentId=there)
    assert (blocked["allowed"], blocked["policiesEvaluated"]) == (False, 2)
    assert elsewhere["id"] in {one["id"] for one in blocked["policies"]}


async def test_inactive_detached_and_deleted_policies_do_not_apply(api: Caller) -> None:
    environment = await make_environment(api)
    artifact = await released(api)
    inactive = await deployment_policy(api, artifact["flow"], requiredAttestationTypes=["x"])
    deleted = await deployment_policy(api, artifact["flow"], requiredAttestationTypes=["x"])
    policy = await make_policy(api, requiredAttestationTypes=["x"])
    body = {"policyId": policy["id"], "environmentId": environment}
    attachment = (await api.post("/policy-attachments", body)).json
    assert (await ask(api, artifact["digest"], environmentId=environment))["policiesEvaluated"] == 3
    await api.send("PUT", f"/deployment-policies/{inactive['id']}", json={"isActive": False})
    await api.send("DELETE", f"/deployment-policies/{deleted['id']}")
    await api.send("DELETE", f"/policy-attachments/{attachment['id']}")
    assert (await ask(api, artifact["digest"], environmentId=environment))["policiesEvaluated"] == 0


async def test_a_policy_of_a_flow_applies_to_its_artifacts_wherever_they_are_deployed(api: Caller) -> None:
    artifact, environment = await released(api), await make_environment(api)
    policy = await make_policy(api, flowId=artifact["flow"], requiredAttestationTypes=["x"])
    for where in ("", environment):
        answer = await ask(api, artifact["digest"], environmentId=where)
        assert answer["policyId"] == policy["id"]
    assert (await ask(api, (await released(api))["digest"]))["allowed"]


YAML = """
artifacts:
  provenance:
    required: true
    exceptions:
      - if: artifact.name == "legacy"
  attestations:
    - {name: review, if: flow.tags.tier == "gold"}
    - {type: pen-test, must_be_compliant: false}
"""


async def test_a_policy_file_has_conditions_and_exceptions(api: Caller) -> None:
    environment = await make_environment(api)
    await attached(api, environment, policyYaml=YAML)
    gold, plain = [await api.make_flow(tags={"tier": tier}) for tier in ("gold", "plain")]
    artifact = await released(api, gold)
    assert sorted(codes(await ask(api, artifact["digest"], environmentId=environment))) == [
        "ATTESTATION_MISSING",
        "ATTESTATION_MISSING",
        "PROVENANCE_MISSING",
    ]
    legacy = await released(api, plain, imageName="legacy")
    assert codes(await ask(api, legacy["digest"], environmentId=environment)) == ["ATTESTATION_MISSING"]
    await api.attest(legacy["trail"], "pen-test", "FAILED")
    assert (await ask(api, legacy["digest"], environmentId=environment))["allowed"]


async def test_no_report_in_another_flow_hides_what_was_found_in_one(api: Caller) -> None:
    environment = await make_environment(api)
    await attached(api, environment, requiredAttestationTypes=["junit"])
    artifact = await released(api)
    again = await released(api, digest=artifact["digest"])
    await api.attest(again["trail"], "junit")
    assert (await ask(api, artifact["digest"], environmentId=environment))["allowed"]
    await api.attest(artifact["trail"], "junit", "FAILED")
    assert codes(await ask(api, artifact["digest"], environmentId=environment)) == ["ATTESTATION_FAILED"]


@pytest.mark.parametrize("spelled", [str.upper, lambda digest: digest.removeprefix("sha256:")])
@pytest.mark.parametrize("name", ["artifactSha256", "artifactDigest", "sha256Digest"])
async def test_digests_are_found_in_any_spelling(api: Caller, name: str, spelled: Any) -> None:
    artifact = await released(api)
    sent = spelled(artifact["digest"])
    answer = (await api.post("/gate/evaluate", {name: sent, "environment": "", "flowId": ""}, 200)).json
    assert (answer["allowed"], answer["artifactSha256"]) == (True, sent)


@pytest.mark.parametrize("field", ["environment", "targetEnvironment", "environmentId"])
async def test_environments_are_given_by_name_or_id(api: Caller, field: str) -> None:
    artifact, name = await released(api), unique("production")
    environment = await make_environment(api, name=name)
    for value in (environment, name):
        body = {"artifactSha256": artifact["digest"], field: value}
        answer = (await api.post("/gate/evaluate", body, 200)).json
        assert (answer["environmentId"], answer["environment"]) == (environment, name)


async def test_what_does_not_exist_is_not_found(api: Caller) -> None:
    artifact, archived = await released(api), await make_environment(api)
    await api.send("DELETE", f"/environments/{archived}")
    wrong: list[dict[str, Any]] = [
        {"environment": "nowhere"},
        {"environmentId": archived},
        {"environmentId": str(uuid4())},
        {"trailId": str(uuid4())},
        {"trailId": artifact["trail"], "flowId": str(uuid4())},
    ]
    for fields in wrong:
        await ask(api, artifact["digest"], 404, **fields)


async def test_a_flow_that_does_not_exist_is_not_found(api: Caller) -> None:
    artifact = await released(api)
    await ask(api, artifact["digest"], 404, flowId=str(uuid4()))


async def test_contradictions_are_refused(api: Caller) -> None:
    artifact, other = await released(api), await make_environment(api)
    refused = await ask(api, artifact["digest"], 400, artifactDigest=a_digest())
    assert refused["details"][0]["field"] == "artifactSha256"
    environment = unique("production")
    await make_environment(api, name=environment)
    refused = await ask(api, artifact["digest"], 400, environment=environment, environmentId=other)
    assert refused["details"][0]["field"] == "environment"
    assert (await api.post("/gate/evaluate", {}, 400)).fields == ["artifactSha256"]


async def test_a_misspelt_environment_is_refused(api: Caller) -> None:
    """Otherwise the policies of the environment would not apply, and the answer would be yes."""
    artifact, environment = await released(api), await make_environment(api)
    await attached(api, environment, requiredAttestationTypes=["junit"])
    refused = await ask(api, artifact["digest"], 400, enviromentId=environment)
    assert refused["details"][0]["field"] == "enviromentId"


async def test_a_trail_with_one_artifact_needs_no_digest(api: Caller) -> None:
    artifact = await released(api)
    answer = (await api.post("/gate/evaluate", {"trailId": artifact["trail"]}, 200)).json
    assert (answer["artifactSha256"], answer["trailId"]) == (artifact["digest"], artifact["trail"])
    await api.report_artifact(artifact["trail"], a_digest(), imageName="second")
    assert (await api.post("/gate/evaluate", {"trailId": artifact["trail"]}, 400)).fields == ["artifactSha256"]
    empty = await api.make_trail(artifact["flow"])
    assert (await api.post("/gate/evaluate", {"trailId": empty["id"]}, 400)).fields == ["artifactSha256"]


async def test_the_newest_report_of_a_flow_counts_unless_a_trail_is_named(api: Caller) -> None:
    flow = await api.make_flow()
    first = await released(api, flow)
    await deployment_policy(api, flow["id"], requiredAttestationTypes=["junit"])
    await api.attest(first["trail"], "junit")
    second = await released(api, flow, first["digest"])
    answer = await ask(api, first["digest"])
    assert (answer["allowed"], answer["trailId"]) == (False, second["trail"])
    assert (await ask(api, first["digest"], trailId=first["trail"]))["allowed"]


async def test_a_dry_run_answers_the_same_and_stores_nothing(api: Caller) -> None:
    artifact = await released(api)
    await deployment_policy(api, artifact["flow"], requiredAttestationTypes=["junit"])
    previewed = (await ask(api, artifact["digest"], dry_run=True))["wouldCreate"]
    assert codes(previewed) == ["ATTESTATION_MISSING"]
    assert "junit" in previewed["blocks"][0]["remedy"]
    assert (await api.get(f"/gate/results?artifactSha256={artifact['digest']}")).json == []


async def test_results_are_listed_newest_first_and_filtered(api: Caller) -> None:
    environment, name = await make_environment(api, name=unique("production")), ""
    artifact = await released(api)
    first = await ask(api, artifact["digest"], environmentId=environment, requestedBy="ci")
    await deployment_policy(api, artifact["flow"], requiredAttestationTypes=["junit"])
    second = await ask(api, artifact["digest"])
    name = first["environment"]
    base = f"/gate/results?artifactSha256={artifact['digest'].removeprefix('sha256:')}"
    assert [one["id"] for one in (await api.get(base)).json] == [second["id"], first["id"]]
    assert [one["id"] for one in (await api.get(f"{base}&limit=1")).json] == [second["id"]]
    assert [one["id"] for one in (await api.get(f"{base}&decision=ALLOWED")).json] == [first["id"]]
    for query in (f"environment={name}", f"environmentId={environment}", f"environment={environment}"):
        assert [one["id"] for one in (await api.get(f"/gate/results?{query}")).json] == [first["id"]]
    paged = (await api.get(f"{base}&page=0&size=1")).json
    assert (paged["totalItems"], [one["id"] for one in paged["items"]]) == (2, [second["id"]])
    stored = (await api.get(f"/gate/results/{first['id']}")).json
    assert stored == {**first, "artifactSha256": artifact["digest"]}
    assert stored["requestedBy"] == "ci"
    assert (await api.get("/gate/results?environment=nowhere", 404)).json["message"]
    assert (await api.send("DELETE", f"/environments/{environment}")).status == 204
    listed = (await api.get(f"/gate/results?environmentId={environment}")).json
    assert [one["id"] for one in listed] == [first["id"]], "decisions outlive their environment"
    await api.get(f"/gate/results?environment={name}", 404)


async def test_a_result_is_a_gate_verdict(api: Caller) -> None:
    artifact = await released(api)
    answer = await ask(api, artifact["digest"])
    verdict = (await api.get(f"/verdicts/{answer['id']}")).json
    assert (verdict["kind"], verdict["outcome"]) == ("gate", "ALLOWED")
    asserted = (await api.post("/assert", {"flowId": artifact["flow"], "sha256Digest": artifact["digest"]}, 200)).json
    await api.get(f"/gate/results/{asserted['verdictId']}", 404)


async def test_a_flow_with_deployment_policies_is_not_deleted(api: Caller) -> None:
    flow = await api.make_flow()
    policy = await deployment_policy(api, flow["id"], isActive=False)
    refused = await api.send("DELETE", f"/flows/{flow['id']}")
    assert (refused.status, "deployment policies" in refused.json["message"]) == (409, True)
    await api.send("DELETE", f"/deployment-policies/{policy['id']}")
    assert (await api.send("DELETE", f"/flows/{flow['id']}")).status == 204


async def test_decisions_are_counted_by_outcome_and_policy(api: Caller) -> None:
    artifact = await released(api)
    policy = await deployment_policy(api, artifact["flow"], requiredAttestationTypes=["junit"])
    await ask(api, artifact["digest"])
    await ask(api, artifact["digest"], dry_run=True)
    metrics = (await api.get("/metrics")).text
    assert f'trailgate_gate_policies_total{{outcome="FAILED",policy="{policy["id"]}"}} 1.0' in metrics
    assert 'trailgate_gate_decisions_total{outcome="BLOCKED"}' in metrics


async def test_nobody_chooses_whose_evidence_the_policies_of_an_environment_look_at(api: Caller) -> None:
    """A report of the artifact in another flow hides nothing, although the question names that flow or its trail."""
    environment = await make_environment(api)
    await attached(api, environment, requiredAttestationTypes=["junit"])
    artifact = await released(api)
    await api.attest(artifact["trail"], "junit", "FAILED")
    other = await released(api, digest=artifact["digest"])
    await api.attest(other["trail"], "junit")
    for named in ({"flowId": other["flow"]}, {"trailId": other["trail"]}):
        body = {"artifactSha256": artifact["digest"], "environmentId": environment, **named}
        answer = (await api.post("/gate/evaluate", body, 200)).json
        assert codes(answer) == ["ATTESTATION_FAILED"]
        assert answer["blocks"][0]["flowId"] == artifact["flow"]
        assert (answer["flowId"], answer["trailId"]) == (None, None)
        assert (await api.get(f"/verdicts/{answer['id']}/recompute")).json["confirmed"]


async def test_the_policies_of_a_flow_look_at_the_flow_that_is_named(api: Caller) -> None:
    environment = await make_environment(api)
    artifact = await released(api)
    await deployment_policy(api, artifact["flow"], requiredAttestationTypes=["junit"])
    other = await released(api, digest=artifact["digest"])
    answer = await ask(api, artifact["digest"], environmentId=environment, flowId=other["flow"])
    assert (answer["allowed"], answer["policiesEvaluated"]) == (True, 0)
    assert not (await ask(api, artifact["digest"], environmentId=environment, flowId=artifact["flow"]))["allowed"]
    assert not (await ask(api, artifact["digest"], environmentId=environment))["allowed"]
