"""What the gate cannot read or evaluate blocks, and says so; what happens at once never mixes."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from domain.gates.policies import PolicyKind, PolicySettings
from storage.gates.queries.policies import get_policy
from storage.services import Services
from tests.api.caller import Caller, unique
from tests.api.environments.reporting import events, make_environment
from tests.api.gates.asking import ask, attached, codes, deployment_policy, make_policy, released

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def stored(services: Services, policy: Any, rules: Any) -> None:
    """Write the compiled rules of a policy, as nothing of ours would."""
    async with services.database.transaction() as tx:
        await tx.execute("SET LOCAL session_replication_role = replica")  # versions cannot be changed otherwise
        sql = "UPDATE policy_versions SET rules = $2::text::jsonb WHERE policy_id = $1"
        await tx.execute(sql, UUID(policy["id"]), json.dumps(rules))


def rule(**fields: Any) -> list[dict[str, Any]]:
    return [PolicySettings("p", required_types=("junit",)).compiled().to_json()[0] | fields]


@pytest.mark.parametrize(
    "rules",
    [
        {},
        None,
        "junit",
        [None],
        [{"check": "attestation"}],
        rule(check="licence"),
        rule(type=None),
        rule(**{"if": True}),
        rule(exceptions=[True]),
        rule(exceptions="true"),
    ],
)
async def test_stored_rules_that_cannot_be_read_block(api: Caller, app_services: Services, rules: Any) -> None:
    artifact = await released(api)
    policy = await deployment_policy(api, artifact["flow"], requiredAttestationTypes=["junit"])
    await api.attest(artifact["trail"], "junit")
    assert (await ask(api, artifact["digest"]))["allowed"]
    await stored(app_services, policy, rules)
    answer = await ask(api, artifact["digest"])
    assert (answer["allowed"], codes(answer)) == (False, ["POLICY_UNREADABLE"])
    assert answer["reason"] == f"policy {policy['name']} cannot be read: the stored rules cannot be read"


async def test_saving_an_unreadable_policy_again_mends_it(api: Caller, app_services: Services) -> None:
    artifact = await released(api)
    policy = await deployment_policy(api, artifact["flow"], requiredAttestationTypes=["junit"])
    await api.attest(artifact["trail"], "junit")
    await stored(app_services, policy, {})
    async with app_services.database.read() as reader:
        kept = await get_policy(reader, api.tenant, UUID(policy["id"]), PolicyKind.DEPLOYMENT)
    assert kept.settings.required_types == ("junit",)
    await api.send("PUT", f"/deployment-policies/{policy['id']}", json={})
    assert (await ask(api, artifact["digest"]))["allowed"]


async def test_a_condition_with_an_error_applies_and_its_exception_never_waives(api: Caller) -> None:
    """`>` compares numbers with a text, which is found out only where the tag has a value."""
    broken = "flow.tags.tier > 3"
    environment = await make_environment(api)
    signature = {"required": True, "exceptions": [{"if": broken}]}
    artifacts = {"attestations": [{"type": "junit", "if": broken}], "signature": signature}
    await attached(api, environment, policyYaml=json.dumps({"artifacts": artifacts}))
    artifact = await released(api, await api.make_flow(tags={"tier": "gold"}))
    answer = await ask(api, artifact["digest"], environmentId=environment)
    assert sorted(codes(answer)) == [
        "ATTESTATION_MISSING",
        "REQUIREMENTS_UNREADABLE",
        "REQUIREMENTS_UNREADABLE",
        "SIGNATURE_MISSING",
    ]
    assert f"the exception '{broken}' cannot be evaluated: compares the order of what has none" in answer["reason"]
    untagged = await released(api)
    assert codes(await ask(api, untagged["digest"], environmentId=environment)) == ["SIGNATURE_MISSING"]


async def test_a_policy_that_changes_meanwhile_counts_in_one_version_or_the_other(api: Caller) -> None:
    artifact = await released(api)
    policy = await deployment_policy(api, artifact["flow"])
    path = f"/deployment-policies/{policy['id']}"

    async def change() -> None:
        for n in range(10):
            body = {"requiredAttestationTypes": ["junit"] * (n % 2 == 0)}
            assert (await api.send("PUT", path, json=body)).status == 200

    async def asking() -> list[Any]:
        return [await ask(api, artifact["digest"]) for _ in range(10)]

    _, *answers = await asyncio.gather(change(), *(asking() for _ in range(4)))
    for answer in (one for some in answers for one in some):
        [applied] = answer["policies"]
        demands = applied["version"] % 2 == 0
        assert (applied["outcome"], answer["allowed"]) == (("FAILED", False) if demands else ("NOT_APPLICABLE", True))


async def test_an_idempotency_key_gets_the_first_decision_again(api: Caller) -> None:
    artifact = await released(api)
    headers = {"Idempotency-Key": unique("run")}
    body = {"artifactSha256": artifact["digest"]}
    answers = [(await api.post("/gate/evaluate", body, 200, headers=headers)).json]
    await deployment_policy(api, artifact["flow"], requiredAttestationTypes=["junit"])
    answers.append((await api.post("/gate/evaluate", body, 200, headers=headers)).json)
    assert answers[0] == answers[1]
    assert len(await events(api, "GATE_ALLOWED", "GATE_BLOCKED")) == 1
    assert not (await ask(api, artifact["digest"]))["allowed"]


async def test_questions_at_once_are_decided_each_by_its_own_policies(api: Caller) -> None:
    """They share a transaction, and nothing else."""
    artifacts = [await released(api) for _ in range(6)]
    for artifact in artifacts[::2]:
        await deployment_policy(api, artifact["flow"], requiredAttestationTypes=["junit"])
    questions = [*artifacts, *artifacts]
    answers = await asyncio.gather(*(ask(api, one["digest"]) for one in questions))
    assert [one["policiesEvaluated"] for one in answers] == [1, 0] * 6
    assert [one["allowed"] for one in answers] == [False, True] * 6
    assert [one["flowId"] for one in answers] == [one["flow"] for one in questions]
    assert len({one["id"] for one in answers}) == len(questions)


async def test_a_decision_names_no_flow_of_another_question(api: Caller) -> None:
    artifacts = [await released(api), await released(api)]
    policy = await make_policy(api, requiredAttestationTypes=["junit"])
    for artifact in artifacts:
        await api.post("/policy-attachments", {"policyId": policy["id"], "flowId": artifact["flow"]})
    answers = await asyncio.gather(*(ask(api, one["digest"]) for one in artifacts * 4))
    for answer, artifact in zip(answers, artifacts * 4, strict=True):
        [applied] = (await api.get(f"/verdicts/{answer['id']}")).json["inputs"]["policies"]
        assert applied["flows"] == [artifact["flow"]]


async def test_a_question_that_cannot_be_answered_fails_alone(api: Caller) -> None:
    artifacts = [await released(api) for _ in range(4)]
    wrong: list[dict[str, Any]] = [{"environment": "nowhere"}, {"trailId": str(uuid4())}, {"flowId": str(uuid4())}]
    refused = [ask(api, artifacts[0]["digest"], 404, **fields) for fields in wrong]
    answers = await asyncio.gather(*(ask(api, one["digest"]) for one in artifacts), *refused)
    assert [one["allowed"] for one in answers[:4]] == [True] * 4
    assert len(await events(api, "GATE_ALLOWED")) == 4
