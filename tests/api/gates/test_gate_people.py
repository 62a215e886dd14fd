"""The gate with people: approvals of all kinds, who can grant one that is missing, and keys with scopes."""

from dataclasses import replace
from typing import Any

import pytest

from storage.services import Services
from tests.api.caller import Caller, make_holder
from tests.api.environments.reporting import make_environment
from tests.api.facts.test_provenance import record, register
from tests.api.gates.asking import ask, attached, codes, deployment_policy, released
from tests.api.gates.people import requested, somebody
from tests.integrations.formats.dsse.signing import DIGEST, envelope, new_signer, statement

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_approval_is_demanded_granted_and_rejected(api: Caller) -> None:
    artifact, bob = await released(api), await somebody(api)
    await deployment_policy(api, artifact["flow"], enforceApprovals=True)
    assert codes(await ask(api, artifact["digest"])) == ["APPROVAL_MISSING"]
    approval = await requested(api, artifact["trail"])
    assert codes(await ask(api, artifact["digest"])) == ["APPROVAL_MISSING"]
    await bob.approve(approval)
    assert (await ask(api, artifact["digest"]))["allowed"]
    await bob.reject(await requested(api, artifact["trail"]))
    assert codes(await ask(api, artifact["digest"])) == ["APPROVAL_REJECTED"]


async def test_an_approval_for_one_environment_opens_no_other(api: Caller) -> None:
    here, there = await make_environment(api), await make_environment(api)
    artifact, bob = await released(api), await somebody(api)
    await deployment_policy(api, artifact["flow"], enforceApprovals=True)
    await bob.approve(await requested(api, artifact["trail"], environmentId=here))
    assert (await ask(api, artifact["digest"], environmentId=here))["allowed"]
    assert not (await ask(api, artifact["digest"], environmentId=there))["allowed"]
    assert not (await ask(api, artifact["digest"]))["allowed"]


async def test_an_approval_for_one_artifact_is_for_no_other(api: Caller) -> None:
    artifact, bob = await released(api), await somebody(api)
    other = await api.report_artifact(artifact["trail"], f"sha256:{'7e' * 32}", imageName="other")
    await deployment_policy(api, artifact["flow"], enforceApprovals=True)
    await bob.approve(await requested(api, artifact["trail"], artifactSha256=artifact["digest"]))
    assert (await ask(api, artifact["digest"]))["allowed"]
    answer = await ask(api, other["sha256Digest"], trailId=artifact["trail"])
    assert codes(answer) == ["APPROVAL_MISSING"]


async def test_a_trail_whose_flow_requires_approval_is_compliant_for_the_environment(api: Caller) -> None:
    """The approval for the environment does not make the trail COMPLIANT as it is stored, but it does here."""
    environment, bob = await make_environment(api), await somebody(api)
    flow = await api.make_flow(requiresApproval=True, requiredAttestations=["BUILD"])
    artifact = await released(api, flow)
    await api.attest(artifact["trail"], "BUILD")
    await attached(api, environment, enforceTrailCompliance=True)
    assert codes(await ask(api, artifact["digest"], environmentId=environment)) == ["APPROVAL_MISSING"]
    await bob.approve(await requested(api, artifact["trail"], environmentId=environment))
    assert (await api.get(f"/trails/{artifact['trail']}")).json["status"] == "PENDING"
    assert (await ask(api, artifact["digest"], environmentId=environment))["allowed"]


async def test_a_broken_glass_approves_but_mends_nothing_else(api: Caller) -> None:
    artifact, admin = await released(api), await somebody(api, "admin")
    await deployment_policy(api, artifact["flow"], enforceApprovals=True, requiredAttestationTypes=["junit"])
    await admin.break_glass(await requested(api, artifact["trail"]))
    assert codes(await ask(api, artifact["digest"])) == ["ATTESTATION_MISSING"]


async def test_a_dry_run_names_who_can_approve(api: Caller) -> None:
    artifact, bob, eve = await released(api), await somebody(api), await somebody(api)
    await deployment_policy(api, artifact["flow"], enforceApprovals=True, requiredAttestationTypes=["junit"])

    async def previewed() -> dict[str, Any]:
        answer = (await ask(api, artifact["digest"], dry_run=True))["wouldCreate"]
        return {one["code"]: one for one in answer["blocks"]}

    blocks = await previewed()
    assert {str(bob.id), str(eve.id)} <= {one["id"] for one in blocks["APPROVAL_MISSING"]["approvers"]}
    assert blocks["ATTESTATION_MISSING"]["approvers"] is None
    await eve.approve(await requested(api, artifact["trail"], requiredApprovers=[bob.email, eve.email]))
    blocks = await previewed()
    assert [one["id"] for one in blocks["APPROVAL_MISSING"]["approvers"]] == [str(bob.id)], "Eve has approved"
    assert artifact["trail"] in blocks["APPROVAL_MISSING"]["remedy"]
    asked = await ask(api, artifact["digest"])
    assert {one["approvers"] for one in asked["blocks"]} == {None}


async def test_a_signature_of_a_registered_key_counts_until_the_key_is_deleted(api: Caller) -> None:
    artifact, signer = await released(api, digest=DIGEST), new_signer("ed25519")
    await deployment_policy(api, artifact["flow"], requireSignature=True, requireVerifiedProvenance=True)
    key = await register(api, signer)
    path = f"/trails/{artifact['trail']}/artifacts/{artifact['id']}"
    await record(api, path, {"envelope": envelope(statement(), signer)})
    answer = await ask(api, DIGEST, flowId=artifact["flow"])
    assert (answer["allowed"], answer["signatureVerified"]) == (True, True)
    await api.send("DELETE", f"/provenance-keys/{key['id']}")
    blocked = await ask(api, DIGEST, flowId=artifact["flow"])
    assert sorted(codes(blocked)) == ["PROVENANCE_UNVERIFIED", "SIGNATURE_MISSING"]
    assert "the key that signed was deleted" in blocked["reason"]
    assert (await api.get(f"/verdicts/{answer['id']}/recompute")).json["confirmed"]


async def scoped(api: Caller, services: Services, *scopes: str) -> Caller:
    holder = await make_holder(services, api.tenant, "reporter", scopes=list(scopes))
    return replace(api, key=holder.key)


async def test_a_key_for_an_environment_asks_about_it_and_learns_nothing_of_foreign_flows(
    api: Caller, app_services: Services
) -> None:
    environment, other = await make_environment(api), await make_environment(api)
    artifact = await released(api)
    await deployment_policy(api, artifact["flow"], requiredAttestationTypes=["secret-test"])
    agent = await scoped(api, app_services, f"environment:{environment}")
    answer = await ask(agent, artifact["digest"], environmentId=environment)
    assert (answer["allowed"], codes(answer)) == (False, ["OUT_OF_SCOPE"])
    assert "secret-test" not in str(answer)
    assert artifact["trail"] not in str(answer)
    await ask(agent, artifact["digest"], 404, environmentId=other)
    await ask(agent, artifact["digest"], 404)
    assert (await agent.get("/gate/results")).json == []
    await agent.get(f"/gate/results/{answer['id']}", 404)


async def test_a_key_for_a_flow_asks_about_its_artifacts_only(api: Caller, app_services: Services) -> None:
    own, foreign = await released(api), await released(api)
    agent = await scoped(api, app_services, f"flow:{own['flow']}")
    answer = await ask(agent, own["digest"])
    assert (await agent.get("/gate/results")).json[0]["id"] == answer["id"]
    await ask(agent, foreign["digest"], 404)
    await ask(agent, own["digest"], 404, environmentId=await make_environment(api))


async def test_a_key_of_another_flow_speaks_for_no_trail_but_its_own(api: Caller, app_services: Services) -> None:
    environment = await make_environment(api)
    await attached(api, environment, enforceTrailCompliance=True)
    artifact = await released(api, await api.make_flow(requiredAttestations=["junit"], requiresApproval=True))
    own = await api.make_flow()
    agent = await scoped(api, app_services, f"flow:{own['id']}")
    await agent.attest((await released(agent, own, artifact["digest"]))["trail"])
    answer = await ask(api, artifact["digest"], environmentId=environment)
    assert (answer["allowed"], codes(answer)) == (False, ["APPROVAL_MISSING", "TRAIL_PENDING"])
