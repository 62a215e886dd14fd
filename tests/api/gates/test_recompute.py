"""A decision of the gate is the same years later, and says what became of its facts."""

from typing import Any

import pytest

from api.http.calls import SERVICES
from domain.gates.gate import MAX_AT_ONCE
from domain.gates.policies import MAX_TYPES
from tests.api.caller import Caller, unique
from tests.api.environments.reporting import make_environment
from tests.api.gates.asking import ask, attached, deployment_policy, released
from tests.api.gates.test_gate import YAML

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def recomputed(api: Caller, answer: Any) -> Any:
    return (await api.get(f"/verdicts/{answer['id']}/recompute")).json


async def execute(api: Caller, *statements: str, **values: str) -> None:
    """Change the database behind the application's back."""
    async with api.client.app[SERVICES].database.transaction() as tx:
        await tx.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            await tx.execute(statement.format(**values))


async def everything_asked(api: Caller) -> tuple[Any, Any, Any]:
    """An artifact, its environment and the decision about it, which looked at every kind of fact."""
    environment = await make_environment(api, driftPolicy="BLOCK")
    flow = await api.make_flow(requiresApproval=True, tags={"tier": "gold"})
    artifact = await released(api, flow)
    await attached(api, environment, policyYaml=YAML, enforceTrailCompliance=True, requireSignature=True)
    await deployment_policy(api, flow["id"], enforceApprovals=True, requiredAttestationTypes=["junit"])
    await api.attest(artifact["trail"], "junit")
    await api.record_provenance({"id": artifact["id"], "trailId": artifact["trail"]})
    approval = (await api.post(f"/trails/{artifact['trail']}/approvals", {"allowRequester": True})).json
    await api.post(f"/approvals/{approval['id']}/approve", {}, 200)
    return artifact, environment, await ask(api, artifact["digest"], environmentId=environment)


async def test_what_happens_later_changes_no_decision(api: Caller) -> None:
    artifact, environment, answer = await everything_asked(api)
    assert not answer["allowed"]
    await api.attest(artifact["trail"], "junit", "FAILED")
    await released(api, {"id": artifact["flow"]}, artifact["digest"])
    for policy in answer["policies"]:
        for path in ("policies", "deployment-policies"):
            await api.send("DELETE", f"/{path}/{policy['id']}")
    await api.send("PUT", f"/environments/{environment}", json={"name": unique("renamed"), "driftPolicy": "WARN"})
    await api.send("PUT", f"/flows/{artifact['flow']}", json={"tags": {}, "requiresApproval": False})
    again = await recomputed(api, answer)
    assert (again["differences"], again["confirmed"]) == ([], True)
    assert again["recomputedOutcome"] == again["outcome"] == "BLOCKED"


async def test_a_decision_of_the_allow_list_holds_although_the_entry_was_removed(api: Caller) -> None:
    environment, artifact = await make_environment(api), await released(api)
    path = f"/environments/{environment}/allowlist"
    entry = (await api.post(path, {"sha256": artifact["digest"], "reason": "hotfix"})).json
    answer = await ask(api, artifact["digest"], environmentId=environment)
    await api.send("DELETE", f"{path}/{entry['id']}")
    assert (await recomputed(api, answer))["confirmed"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE attestation_results SET status = 'FAILED' WHERE org_id = '{org}'", "differs in status"),
        ("DELETE FROM approval_outcomes WHERE trail_id = '{trail}'", "is gone"),
        ("UPDATE policy_versions SET rules = '[]' WHERE org_id = '{org}'", "is now"),
        ("DELETE FROM policy_versions WHERE org_id = '{org}'", "is not what was evaluated"),
        ("UPDATE artifact_reports SET name = 'another' WHERE trail_id = '{trail}'", "differs from what was judged"),
        ("DELETE FROM provenance_checks WHERE org_id = '{org}'", "of provenance"),
        ("UPDATE environment_versions SET name = 'another' WHERE org_id = '{org}'", "of environment"),
        ("DELETE FROM flow_versions WHERE org_id = '{org}'", "of flow"),
    ],
)  # fmt: skip
async def test_what_was_changed_behind_the_back_is_told(api: Caller, change: str, told: str) -> None:
    artifact, _, answer = await everything_asked(api)
    organisation = (await api.get(f"/organisations/{api.tenant.org_slug}")).json["id"]
    await execute(api, change, trail=artifact["trail"], org=organisation)
    again = await recomputed(api, answer)
    assert not again["confirmed"]
    assert any(told in difference for difference in again["differences"]), again["differences"]


async def test_a_decision_in_other_words_is_the_same(api: Caller) -> None:
    """A later version may word and order reasons otherwise."""
    _, _, answer = await everything_asked(api)
    assert len(answer["blocks"]) > 1
    organisation = (await api.get(f"/organisations/{api.tenant.org_slug}")).json["id"]
    reworded = "jsonb_agg(one || jsonb_build_object('message', 'as it was said') ORDER BY n DESC)"
    reasons = f"(SELECT {reworded} FROM jsonb_array_elements(result->'reasons') WITH ORDINALITY AS of(one, n))"
    said = f"result || jsonb_build_object('reason', 'as it was said', 'reasons', {reasons})"
    await execute(api, f"UPDATE verdicts SET result = {said} WHERE org_id = '{{org}}'", org=organisation)
    again = await recomputed(api, answer)
    assert (again["differences"], again["confirmed"]) == ([], True)
    fewer = "result || jsonb_build_object('reasons', (result->'reasons') - 0)"
    await execute(api, f"UPDATE verdicts SET result = {fewer} WHERE org_id = '{{org}}'", org=organisation)
    assert not (await recomputed(api, answer))["confirmed"]


async def test_what_takes_long_is_decided_and_recomputed_alike(api: Caller) -> None:
    """It is compared in a thread."""
    artifact = await released(api)
    for n in range(MAX_AT_ONCE // MAX_TYPES + 1):
        types = [f"t{n}-{m}" for m in range(MAX_TYPES)]
        await deployment_policy(api, artifact["flow"], requiredAttestationTypes=types)
    answer = await ask(api, artifact["digest"])
    assert [one["outcome"] for one in answer["policies"]] == ["FAILED"] * 3
    assert (await recomputed(api, answer))["confirmed"]
