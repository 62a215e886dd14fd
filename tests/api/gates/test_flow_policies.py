"""Policies that are attached to a flow count for assertions as well."""

from typing import Any

import pytest

from tests.api.caller import Caller
from tests.api.gates.asking import make_policy, released
from tests.api.gates.test_recompute import execute, recomputed

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def asserted(api: Caller, artifact: Any) -> Any:
    body = {"flowId": artifact["flow"], "sha256Digest": artifact["digest"]}
    return (await api.post("/assert", body, 200)).json


async def test_an_assertion_demands_what_the_policies_of_the_flow_do(api: Caller) -> None:
    artifact = await released(api, await api.make_flow(requiredAttestations=["BUILD"]))
    await api.attest(artifact["trail"], "BUILD")
    assert (await asserted(api, artifact))["compliant"]
    policy = await make_policy(api, flowId=artifact["flow"], requiredAttestationTypes=["junit"], enforceProvenance=True)
    missing = await asserted(api, artifact)
    assert (missing["status"], missing["missingAttestationTypes"]) == ("NON_COMPLIANT", ["junit"])
    assert missing["failedAttestations"] == []
    assert f"policy {policy['name']}: attestation junit is missing" in missing["details"]
    assert "no provenance is recorded" in missing["details"]
    await api.attest(artifact["trail"], "junit", "FAILED")
    failed = await asserted(api, artifact)
    assert failed["failedAttestationTypes"] == failed["missingAttestationTypes"] == ["junit"]
    await api.attest(artifact["trail"], "junit")
    await api.record_provenance({"id": artifact["id"], "trailId": artifact["trail"]})
    assert (await asserted(api, artifact))["compliant"]


async def test_a_demanded_name_is_listed_by_its_name(api: Caller) -> None:
    artifact = await released(api)
    await make_policy(api, flowId=artifact["flow"], policyYaml="artifacts: {attestations: [{name: pen-test}]}")
    answer = await asserted(api, artifact)
    assert (answer["missingAttestationNames"], answer["missingAttestationTypes"]) == (["pen-test"], [])


async def test_a_detached_policy_demands_nothing(api: Caller) -> None:
    artifact = await released(api)
    await make_policy(api, flowId=artifact["flow"], requiredAttestationTypes=["junit"])
    [attachment] = (await api.get(f"/policy-attachments?flowId={artifact['flow']}")).json
    assert not (await asserted(api, artifact))["compliant"]
    await api.send("DELETE", f"/policy-attachments/{attachment['id']}")
    assert (await asserted(api, artifact))["compliant"]


async def test_the_verdict_is_recomputed_with_the_policies_of_its_time(api: Caller) -> None:
    artifact = await released(api)
    policy = await make_policy(api, flowId=artifact["flow"], requiredAttestationTypes=["junit"])
    answer = {"id": (await asserted(api, artifact))["verdictId"]}
    await api.send("DELETE", f"/policies/{policy['id']}")
    await api.attest(artifact["trail"], "junit")
    again = await recomputed(api, answer)
    assert (again["differences"], again["recomputedOutcome"]) == ([], "NON_COMPLIANT")
    await execute(api, "UPDATE policy_versions SET rules = '[]' WHERE policy_id = '{id}'", id=policy["id"])
    assert not (await recomputed(api, answer))["confirmed"]
