"""Bundles of OPA that policies name take part in decisions of the gate."""

from typing import Any

import pytest

from tests.api.caller import Caller, unique
from tests.api.environments.reporting import make_environment
from tests.api.gates.asking import ask, codes, deployment_policy, released
from tests.api.gates.test_recompute import execute, recomputed

pytestmark = pytest.mark.asyncio(loop_scope="session")

REGO = """
package release
import rego.v1

default allow := false
allow if count(deny) == 0
deny contains msg if {
  some one in input.attestations
  one.status == "FAILED"
  msg := sprintf("%s failed", [one.type])
}
deny contains "production needs an approval" if {
  input.environment == "production-of-rego"
  input.approvalStatus != "APPROVED"
}
deny contains "too many findings" if input.highVulnerabilities > 3
"""


async def active(api: Caller, name: str, rego: str = REGO, version: str = "1") -> str:
    body = {"name": name, "version": version, "regoContent": rego}
    bundle = (await api.post("/opa/bundles", body)).json["id"]
    answer = await api.send("PUT", f"/opa/bundles/{bundle}/activate")
    assert answer.status == 200, answer.text
    return str(bundle)


async def governed(api: Caller, rego: str = REGO) -> tuple[Any, str]:
    """An artifact whose flow has a policy that names a bundle, and the name of the bundle."""
    artifact, name = await released(api), unique("bundle")
    await active(api, name, rego)
    await deployment_policy(api, artifact["flow"], opaBundles=[name])
    return artifact, name


async def test_a_bundle_allows_and_denies_by_stored_facts(api: Caller) -> None:
    artifact, name = await governed(api)
    assert (await ask(api, artifact["digest"]))["allowed"]
    await api.attest(artifact["trail"], "LINT", "FAILED")
    answer = await ask(api, artifact["digest"])
    assert (codes(answer), answer["allowed"]) == (["OPA_DENIED"], False)
    assert f"bundle {name} of OPA denies: LINT failed" in answer["reason"]


async def test_what_it_decides_is_kept_and_cited(api: Caller) -> None:
    artifact, name = await governed(api)
    answer = await ask(api, artifact["digest"])
    [cited] = (await api.get(f"/verdicts/{answer['id']}")).json["inputs"]["reports"][0]["opinions"].values()
    decision = (await api.get(f"/opa/decisions/{cited}")).json
    assert (decision["resultAllow"], decision["bundleName"]) == (True, name)
    assert artifact["digest"] in decision["inputJson"]
    assert (await recomputed(api, answer))["confirmed"]
    await execute(api, "UPDATE opa_decisions SET allow = false WHERE id = '{id}'", id=cited)
    assert not (await recomputed(api, answer))["confirmed"]


async def test_scans_and_the_approval_for_the_environment_are_part_of_the_input(api: Caller) -> None:
    artifact, _ = await governed(api)
    environment = await make_environment(api, name="production-of-rego")
    blocked = await ask(api, artifact["digest"], environmentId=environment)
    assert "production needs an approval" in blocked["reason"]
    approval = (await api.post(f"/trails/{artifact['trail']}/approvals", {"allowRequester": True})).json
    await api.post(f"/approvals/{approval['id']}/approve", {}, 200)
    assert (await ask(api, artifact["digest"], environmentId=environment))["allowed"]
    scan = {"tool": "trivy", "highVulnerabilities": 4}
    await api.post(f"/trails/{artifact['trail']}/security-scans", scan)
    assert "too many findings" in (await ask(api, artifact["digest"], environmentId=environment))["reason"]


async def test_without_an_active_bundle_nothing_goes_through(api: Caller) -> None:
    artifact, name = await released(api), unique("bundle")
    await deployment_policy(api, artifact["flow"], opaBundles=[name])
    assert codes(await ask(api, artifact["digest"])) == ["OPA_UNAVAILABLE"]
    bundle = await active(api, name)
    assert (await ask(api, artifact["digest"]))["allowed"]
    await api.send("PUT", f"/opa/bundles/{bundle}/deactivate")
    assert codes(await ask(api, artifact["digest"])) == ["OPA_UNAVAILABLE"]


async def test_the_bundle_that_is_active_now_decides(api: Caller) -> None:
    artifact, name = await governed(api)
    assert (await ask(api, artifact["digest"]))["allowed"]
    await active(api, name, 'package release\nimport rego.v1\ndeny contains "never"', "2")
    assert "never" in (await ask(api, artifact["digest"]))["reason"]


async def test_an_endless_policy_denies_and_the_next_one_is_evaluated(api: Caller) -> None:
    endless = """
package release
import rego.v1
allow if count([1 | some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); a * b == -1]) == 0
"""
    artifact, _ = await governed(api, endless)
    assert codes(await ask(api, artifact["digest"])) == ["OPA_DENIED"]
    other, _ = await governed(api)
    assert (await ask(api, other["digest"]))["allowed"]


async def test_a_request_with_a_key_is_decided_once(api: Caller) -> None:
    artifact, _ = await governed(api)
    request = {"headers": {"Idempotency-Key": unique("key")}}
    body = {"artifactSha256": artifact["digest"]}
    first = await api.post("/gate/evaluate", body, 200, **request)
    again = await api.post("/gate/evaluate", body, 200, **request)
    assert first.json["allowed"]
    assert again.json == first.json
    assert len((await api.get(f"/gate/results?artifactSha256={artifact['digest']}")).json) == 1


async def test_a_dry_run_evaluates_and_keeps_nothing(api: Caller) -> None:
    artifact, _ = await governed(api)
    await api.attest(artifact["trail"], "LINT", "FAILED")
    before = (await api.get("/opa/decisions")).headers["X-Total-Count"]
    assert codes((await ask(api, artifact["digest"], dry_run=True))["wouldCreate"]) == ["OPA_DENIED"]
    assert (await api.get("/opa/decisions")).headers["X-Total-Count"] == before


async def test_bundles_take_part_in_the_gate_only(api: Caller) -> None:
    """An assertion about the same flow does not wait for OPA."""
    artifact, name = await released(api), unique("bundle")
    policy = (await api.post("/policies", {"name": name, "opaBundles": [name], "flowId": artifact["flow"]})).json
    assert policy["opaBundles"] == [name]
    assert codes(await ask(api, artifact["digest"])) == ["OPA_UNAVAILABLE"]
    body = {"flowId": artifact["flow"], "sha256Digest": artifact["digest"]}
    assert (await api.post("/assert", body, 200)).json["compliant"]
