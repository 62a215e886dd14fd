"""Policies of both kinds and what they are attached to, on the wire."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from domain.gates.policies import MAX_BUNDLES, MAX_POLICIES, MAX_TYPES
from storage.services import Services
from tests.api.caller import Caller, make_holder, unique
from tests.api.environments.reporting import events, make_environment
from tests.api.gates.asking import ask, codes, deployment_policy, make_policy, released
from tests.api.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="session")

POLICIES, DEPLOYMENT, ATTACHMENTS = "/policies", "/deployment-policies", "/policy-attachments"
DEMANDS = {
    "description": "",
    "isActive": True,
    "enforceProvenance": False,
    "requireVerifiedProvenance": False,
    "enforceApprovals": False,
    "enforceTrailCompliance": False,
    "requireSignature": False,
    "blockOnFailedScan": False,
    "requiredAttestationTypes": [],
    "opaBundles": [],
    "policyYaml": None,
}
YAML = "artifacts: {attestations: [{type: junit}]}"


async def put(api: Caller, path: str, body: Any, status: int = 200, **request: Any) -> Any:
    answer = await api.send("PUT", path, json=body, **request)
    assert answer.status == status, answer.text
    return answer.json


async def delete(api: Caller, path: str, status: int = 204, **request: Any) -> None:
    answer = await api.send("DELETE", path, **request)
    assert answer.status == status, answer.text


async def path_of(api: Caller, kind: str) -> str:
    """The path of a new policy of a kind."""
    made = await make_policy(api) if kind == POLICIES else await deployment_policy(api, (await api.make_flow())["id"])
    return f"{kind}/{made['id']}"


async def attach(api: Caller, policy: Any, status: int = 201, **where: Any) -> Any:
    return (await api.post(ATTACHMENTS, {"policyId": policy["id"], **where}, status)).json


async def stored(api: Caller) -> dict[str, int]:
    return {path: len((await api.get(path)).json) for path in (POLICIES, DEPLOYMENT, ATTACHMENTS)}


async def test_a_policy_is_made_with_what_it_demands(api: Caller) -> None:
    made = await api.post(POLICIES, {"name": "production", "orgSlug": api.tenant.org_slug})
    assert made.headers["ETag"] == '"1"'
    assert_times(made.json, "createdAt", "updatedAt")
    known = {"name": "production", "orgSlug": api.tenant.org_slug, "version": 1}
    assert made.json == {**DEMANDS, **known, **{one: made.json[one] for one in ("id", "createdAt", "updatedAt")}}
    assert (await api.get(f"{POLICIES}/{made.json['id']}")).json == made.json
    assert (await api.get(POLICIES)).json == (await api.get(f"{POLICIES}?name=production")).json == [made.json]
    assert (await api.get(f"{POLICIES}?name=staging")).json == []


async def test_a_deployment_policy_is_of_a_flow_and_maybe_of_an_environment(api: Caller) -> None:
    flow, environment = (await api.make_flow())["id"], await make_environment(api)
    everywhere = await deployment_policy(api, flow, environmentId="", environment=" ")
    here = await deployment_policy(api, flow, environmentId=environment, enforceApprovals=True)
    assert (everywhere["flowId"], everywhere["environmentId"]) == (flow, None)
    assert {name: here[name] for name in DEMANDS} == {**DEMANDS, "enforceApprovals": True}
    assert (await api.get(DEPLOYMENT)).json == (await api.get(f"{DEPLOYMENT}?flowId={flow}")).json == [everywhere, here]
    assert (await api.get(f"{DEPLOYMENT}?environmentId={environment}")).json == [here]
    paged = (await api.get(f"{DEPLOYMENT}?page=1&size=1")).json
    assert (paged["items"], paged["totalItems"]) == ([here], 2)


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ({"requiredAttestations": ["a"]}, {"requiredAttestationTypes": ["a"]}),
        ({"requiredAttestationTypes": ["a", "b", "a"]}, {"requiredAttestationTypes": ["a", "b"]}),
        ({"requireApproval": True}, {"enforceApprovals": True}),
        ({"requireApprovals": True}, {"enforceApprovals": True}),
        ({"yaml": YAML}, {"policyYaml": YAML}),
        ({"policyYaml": " \n"}, {"policyYaml": None}),
        ({"opaBundles": ["licences"]}, {"opaBundles": ["licences"]}),
        ({"policyType": "SECURITY", "threshold": 7}, {}),
        ({"description": None, "isActive": None, "requiredAttestationTypes": None, "policyYaml": None}, {}),
        ({"isActive": False}, {"isActive": False}),
        ({"flowId": "", "orgSlug": ""}, {}),
    ],
)
async def test_other_names_and_blank_texts(api: Caller, sent: Any, shown: Any) -> None:
    made = await make_policy(api, **sent)
    assert {name: made[name] for name in DEMANDS} == {**DEMANDS, **shown}


@pytest.mark.parametrize("field", ["environment", "targetEnvironment", "environmentId"])
async def test_environments_are_given_by_name_or_id(api: Caller, field: str) -> None:
    name, flow = unique("production"), (await api.make_flow())["id"]
    environment = await make_environment(api, name=name)
    for value in (environment, name) if field != "environmentId" else (environment,):
        assert (await deployment_policy(api, flow, **{field: value}))["environmentId"] == environment
    body = {"policyId": (await make_policy(api))["id"], field: environment}
    assert (await api.post(ATTACHMENTS, body)).json["environmentId"] == environment


BAD_YAML = {
    "an unknown key": "artifact: {}",
    "a misspelt section": "artifacts: {provenence: {required: true}}",
    "a text for a flag": 'artifacts: {provenance: {required: "true"}}',
    "a bad condition": "artifacts: {attestations: [{type: a, if: owner}]}",
    "an exception without an if": "artifacts: {approval: {required: true, exceptions: [{}]}}",
    "neither type nor name": 'artifacts: {attestations: [{type: "*", name: "*"}]}',
    "an anchors bomb": "a: &a [x]\nb: [*a, *a]",
    "a tag": "!!python/object:os.system {}",
    "no map": "[]",
    "broken": "artifacts: {",
    "long": "#" * 65_537,
    "deep": "[" * 1_000,
}


@pytest.mark.parametrize("name", BAD_YAML)
@pytest.mark.parametrize("field", ["policyYaml", "yaml"])
async def test_a_bad_policy_file_is_refused_and_nothing_is_stored(api: Caller, name: str, field: str) -> None:
    policy, flow = await make_policy(api, policyYaml=YAML), (await api.make_flow())["id"]
    before, body = await stored(api), {"name": unique("policy"), field: BAD_YAML[name]}
    assert (await api.post(POLICIES, body, 400)).fields == ["policyYaml"]
    assert (await api.post(DEPLOYMENT, {**body, "flowId": flow}, 400)).fields == ["policyYaml"]
    refused = await put(api, f"{POLICIES}/{policy['id']}", {field: BAD_YAML[name]}, 400)
    assert refused["details"][0]["field"] == "policyYaml"
    assert await stored(api) == before
    assert (await api.get(f"{POLICIES}/{policy['id']}")).json == policy


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": "n" * 256}, "name"),
        ({"name": None}, "name"),
        ({"enforceProvenence": True}, "enforceProvenence"),
        ({"enforceProvenance": "true"}, "enforceProvenance"),
        ({"requireSignature": 1}, "requireSignature"),
        ({"requiredAttestationTypes": "junit"}, "requiredAttestationTypes"),
        ({"requiredAttestationTypes": [""]}, "requiredAttestationTypes.0"),
        ({"requiredAttestationTypes": [f"t{n}" for n in range(MAX_TYPES + 1)]}, "requiredAttestationTypes"),
        ({"opaBundles": [f"b{n}" for n in range(MAX_BUNDLES + 1)]}, "opaBundles"),
        ({"policyYaml": {"artifacts": {}}}, "policyYaml"),
        ({"flowId": "production"}, "flowId"),
        ({"id": str(uuid4())}, "id"),
    ],
)
async def test_a_field_that_is_wrong_or_unknown_is_refused(api: Caller, body: Any, field: str) -> None:
    """A misspelt demand would be none."""
    refused = await api.post(POLICIES, {"name": unique("policy"), **body}, 400)
    assert refused.fields == [field]
    assert (await api.get(POLICIES)).json == []


async def test_what_does_not_exist_is_not_found(api: Caller, admin: Caller) -> None:
    policy, flow, nothing = await make_policy(api), (await api.make_flow())["id"], str(uuid4())
    deployment, foreign = await deployment_policy(api, flow), (await make_environment(admin))
    archived = await make_environment(api)
    await delete(api, f"/environments/{archived}")
    name = {"name": unique("policy")}
    for path, body in (
        (POLICIES, {**name, "orgSlug": "default"}),
        (POLICIES, {**name, "flowId": nothing}),
        (DEPLOYMENT, {**name, "flowId": flow, "orgSlug": "default"}),
        (DEPLOYMENT, {**name, "flowId": nothing}),
        (DEPLOYMENT, {**name, "flowId": flow, "environment": "nowhere"}),
        (DEPLOYMENT, {**name, "flowId": flow, "environmentId": archived}),
        (DEPLOYMENT, {**name, "flowId": flow, "environmentId": foreign}),
        (ATTACHMENTS, {"policyId": nothing, "flowId": flow}),
        (ATTACHMENTS, {"policyId": deployment["id"], "flowId": flow}),
        (ATTACHMENTS, {"policyId": policy["id"], "flowId": nothing}),
        (ATTACHMENTS, {"policyId": policy["id"], "environment": "nowhere"}),
        (ATTACHMENTS, {"policyId": policy["id"], "environmentId": foreign}),
    ):
        await api.post(path, body, 404)
    for path in (f"{POLICIES}/{deployment['id']}", f"{DEPLOYMENT}/{policy['id']}", f"{ATTACHMENTS}/{nothing}"):
        await api.get(path, 404)
        await delete(api, path, 404)
    await put(api, f"{POLICIES}/{deployment['id']}", {}, 404)
    assert await stored(api) == {POLICIES: 1, DEPLOYMENT: 1, ATTACHMENTS: 0}


async def test_an_attachment_is_to_one_thing(api: Caller) -> None:
    policy, flow, environment = await make_policy(api), (await api.make_flow())["id"], await make_environment(api)
    for where in ({}, {"environmentId": "", "flowId": ""}, {"environmentId": environment, "flowId": flow}):
        assert (await attach(api, policy, 400, **where))["details"][0]["field"] == "environmentId"
    assert (await attach(api, policy, 400, environmentId=environment, priority=1))["details"][0]["field"] == "priority"


async def test_policies_are_attached_once_and_detached(api: Caller) -> None:
    policy, flow, environment = await make_policy(api), (await api.make_flow())["id"], await make_environment(api)
    here, there = await attach(api, policy, environmentId=environment), await attach(api, policy, flowId=flow)
    assert (here["policyId"], here["environmentId"], here["flowId"]) == (policy["id"], environment, None)
    assert_times(here, "createdAt")
    await attach(api, policy, 409, environmentId=environment)
    await attach(api, policy, 409, flowId=flow)
    other = await attach(api, await make_policy(api), flowId=flow)
    assert (await api.get(ATTACHMENTS)).json == [here, there, other]
    for query, found in (
        (f"policyId={policy['id']}", [here, there]),
        (f"environmentId={environment}", [here]),
        (f"flowId={flow}", [there, other]),
    ):
        assert (await api.get(f"{ATTACHMENTS}?{query}")).json == found
    assert (await api.get(f"{ATTACHMENTS}/{here['id']}")).json == here
    await delete(api, f"{ATTACHMENTS}/{here['id']}")
    await delete(api, f"{ATTACHMENTS}/{here['id']}", 404)
    await attach(api, policy, environmentId=environment)


async def test_a_name_belongs_to_one_policy_until_it_is_deleted(api: Caller) -> None:
    first, other = await make_policy(api, name="production"), await make_policy(api)
    await api.post(POLICIES, {"name": "production"}, 409)
    await put(api, f"{POLICIES}/{other['id']}", {"name": "production"}, 409)
    flow = (await api.make_flow())["id"]
    for _ in range(2):
        await deployment_policy(api, flow, name="production")
    await delete(api, f"{POLICIES}/{first['id']}")
    assert (await make_policy(api, name="production"))["version"] == 1


async def test_two_policies_at_once_get_one_name(api: Caller) -> None:
    answers = await asyncio.gather(*(api.send("POST", POLICIES, json={"name": "production"}) for _ in range(8)))
    assert sorted(one.status for one in answers) == [201, *[409] * 7]


async def test_deleting_a_policy_removes_its_attachments(api: Caller) -> None:
    policy, kept = await make_policy(api), await make_policy(api)
    environment = await make_environment(api)
    for one in (policy, kept):
        await attach(api, one, environmentId=environment)
    await delete(api, f"{POLICIES}/{policy['id']}")
    assert [one["policyId"] for one in (await api.get(ATTACHMENTS)).json] == [kept["id"]]
    await attach(api, policy, 404, environmentId=environment)
    assert len(await events(api, "POLICY_ATTACHMENT_DELETED")) == 1


async def test_a_change_keeps_what_it_does_not_name(api: Caller) -> None:
    made = await make_policy(api, enforceProvenance=True, requiredAttestations=["a"], yaml=YAML, description="x")
    path = f"{POLICIES}/{made['id']}"
    changed = await put(api, path, {"requireSignature": True, "description": None, "requiredAttestations": None})
    assert {**changed, "updatedAt": None} == {**made, "requireSignature": True, "version": 2, "updatedAt": None}
    assert await put(api, path, {}) == await put(api, path, {"requireSignature": True}) == changed
    assert (await put(api, path, {"requiredAttestationTypes": []}))["requiredAttestationTypes"] == []
    for value in (None, " "):
        await put(api, path, {"policyYaml": YAML})
        assert (await put(api, path, {"policyYaml": value}))["policyYaml"] is None


@pytest.mark.parametrize("kind", [POLICIES, DEPLOYMENT])
async def test_an_unknown_field_of_a_change_is_refused(api: Caller, kind: str) -> None:
    path = await path_of(api, kind)
    assert (await put(api, path, {"enforceProvenence": True}, 400))["details"][0]["field"] == "enforceProvenence"
    assert (await put(api, path, {"policyType": "x", "threshold": 1}))["version"] == 1


async def test_the_flow_and_the_environment_of_a_policy_are_fixed(api: Caller) -> None:
    flow, environment = (await api.make_flow())["id"], await make_environment(api)
    made = await deployment_policy(api, flow, environmentId=environment)
    path = f"{DEPLOYMENT}/{made['id']}"
    assert await put(api, path, {"flowId": flow, "environmentId": environment}) == made
    assert await put(api, path, {"flowId": "", "environmentId": None}) == made
    for field in ("flowId", "environmentId"):
        assert (await put(api, path, {field: str(uuid4())}, 400))["details"][0]["field"] == field


@pytest.mark.parametrize("kind", [POLICIES, DEPLOYMENT])
async def test_a_change_of_another_version_is_refused(api: Caller, kind: str) -> None:
    path = await path_of(api, kind)
    old: dict[str, Any] = {"headers": {"If-Match": '"7"'}}
    await put(api, path, {"description": "x"}, 412, **old)
    await delete(api, path, 412, **old)
    assert (await put(api, path, {"description": "x"}, headers={"If-Match": '"1"'}))["version"] == 2
    await delete(api, path, headers={"If-Match": '"2"'})
    await put(api, path, {"description": "x"}, 404)


async def test_changes_at_once_make_a_version_each(api: Caller) -> None:
    path = await path_of(api, POLICIES)
    await asyncio.gather(*(put(api, path, {"description": f"change {n}"}) for n in range(6)))
    assert (await api.get(path)).json["version"] == 7


async def test_a_dry_run_stores_nothing(api: Caller) -> None:
    policy, flow = await make_policy(api), (await api.make_flow())["id"]
    before = await stored(api)
    dry: dict[str, Any] = {"params": {"dryRun": "true"}}
    made = (await api.post(POLICIES, {"name": "planned", "flowId": flow}, 200, **dry)).json["wouldCreate"]
    assert made["name"] == "planned"
    attached = (await api.post(ATTACHMENTS, {"policyId": policy["id"], "flowId": flow}, 200, **dry)).json
    assert attached["wouldCreate"]["flowId"] == flow
    changed = (await put(api, f"{POLICIES}/{policy['id']}", {"isActive": False}, **dry))["wouldUpdate"]
    assert (changed["isActive"], changed["version"]) == (False, 2)
    await delete(api, f"{POLICIES}/{policy['id']}", 200, **dry)
    await api.post(POLICIES, {"name": policy["name"]}, 409, **dry)
    assert await stored(api) == before
    assert (await api.get(f"{POLICIES}/{policy['id']}")).json == policy


async def test_changes_are_audited_and_a_decision_keeps_the_version_that_applied(api: Caller) -> None:
    artifact = await released(api)
    policy = await deployment_policy(api, artifact["flow"], requiredAttestationTypes=["junit"])
    before = await ask(api, artifact["digest"])
    await put(api, f"{DEPLOYMENT}/{policy['id']}", {"requiredAttestationTypes": []})
    after = await ask(api, artifact["digest"])
    assert [one["policies"][0]["version"] for one in (before, after)] == [1, 2]
    assert (codes(before), codes(after)) == (["ATTESTATION_MISSING"], [])
    await delete(api, f"{DEPLOYMENT}/{policy['id']}")
    seen = await events(api, "POLICY_CREATED", "POLICY_UPDATED", "POLICY_DELETED")
    payloads = [json.loads(one["payload"]) for one in seen]
    assert [
        (one["eventType"], told["policyId"], told["version"]) for one, told in zip(seen, payloads, strict=True)
    ] == [
        ("POLICY_CREATED", policy["id"], 1),
        ("POLICY_UPDATED", policy["id"], 2),
        ("POLICY_DELETED", policy["id"], 3),
    ]


async def test_attachments_are_audited(api: Caller) -> None:
    environment = await make_environment(api)
    attachment = await attach(api, await make_policy(api), environmentId=environment)
    await delete(api, f"{ATTACHMENTS}/{attachment['id']}")
    found = (await api.get(f"/audit?environmentId={environment}&size=100")).json["events"]
    seen = [one for one in reversed(found) if one["eventType"].startswith("POLICY_")]
    assert [one["eventType"] for one in seen] == ["POLICY_ATTACHMENT_CREATED", "POLICY_ATTACHMENT_DELETED"]
    assert {json.loads(one["payload"])["policyAttachmentId"] for one in seen} == {attachment["id"]}


async def test_a_flow_takes_so_many_policies_and_no_more(api: Caller) -> None:
    """However many are made at once."""
    flow = (await api.make_flow())["id"]
    body = {"flowId": flow, "name": "production"}
    made = await asyncio.gather(*(api.send("POST", DEPLOYMENT, json=body) for _ in range(MAX_POLICIES + 4)))
    refused = [one.json for one in made if one.status == 409]
    assert [sum(one.status == status for one in made) for status in (201, 409)] == [MAX_POLICIES, 4]
    assert {one["limit"] for one in refused} == {"policies"}
    assert str(MAX_POLICIES) in refused[0]["message"]
    first, second = [one.json for one in made if one.status == 201][:2]
    await put(api, f"{DEPLOYMENT}/{first['id']}", {"isActive": False})
    spare = await deployment_policy(api, flow)
    await put(api, f"{DEPLOYMENT}/{first['id']}", {"isActive": True}, 409)
    await put(api, f"{DEPLOYMENT}/{second['id']}", {"description": "still possible"})
    await delete(api, f"{DEPLOYMENT}/{spare['id']}")
    await put(api, f"{DEPLOYMENT}/{first['id']}", {"isActive": True})


@pytest.mark.parametrize("field", ["environmentId", "flowId"])
async def test_so_many_policies_are_attached_to_one_thing_and_no_more(api: Caller, field: str) -> None:
    where = {field: await make_environment(api) if field == "environmentId" else (await api.make_flow())["id"]}
    policies = [await make_policy(api) for _ in range(MAX_POLICIES + 2)]
    bodies = [{"policyId": one["id"], **where} for one in policies]
    made = await asyncio.gather(*(api.send("POST", ATTACHMENTS, json=body) for body in bodies))
    assert [sum(one.status == status for one in made) for status in (201, 409)] == [MAX_POLICIES, 2]
    assert {one.json["limit"] for one in made if one.status == 409} == {"policies"}


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_only_administrators_define_policies(api: Caller, app_services: Services, role: str) -> None:
    policy, flow = await make_policy(api), (await api.make_flow())["id"]
    deployment, attachment = await deployment_policy(api, flow), await attach(api, policy, flowId=flow)
    holder = await make_holder(app_services, api.tenant, role)
    caller = Caller(api.client, holder.key, api.tenant)
    name = {"name": unique("policy")}
    await caller.post(POLICIES, name, 403)
    await caller.post(DEPLOYMENT, {**name, "flowId": flow}, 403)
    await caller.post(ATTACHMENTS, {"policyId": policy["id"], "flowId": flow}, 403)
    for path in (f"{POLICIES}/{policy['id']}", f"{DEPLOYMENT}/{deployment['id']}"):
        await put(caller, path, {"isActive": False}, 403)
        await delete(caller, path, 403)
        assert (await caller.get(path)).json["isActive"] is True
    await delete(caller, f"{ATTACHMENTS}/{attachment['id']}", 403)


async def test_a_key_with_scopes_sees_no_policies(api: Caller, app_services: Services) -> None:
    flow = (await api.make_flow())["id"]
    policy, deployment = await make_policy(api, flowId=flow), await deployment_policy(api, flow)
    holder = await make_holder(app_services, api.tenant, "admin", scopes=[f"flow:{flow}"])
    caller = Caller(api.client, holder.key, api.tenant)
    for path in (POLICIES, DEPLOYMENT, ATTACHMENTS, f"{POLICIES}/{policy['id']}", f"{DEPLOYMENT}/{deployment['id']}"):
        await caller.get(path, 403)
    await caller.post(POLICIES, {"name": unique("policy")}, 403)


@pytest.mark.parametrize("kind", [POLICIES, DEPLOYMENT])
async def test_an_answer_that_was_read_and_edited_is_a_change(api: Caller, kind: str) -> None:
    flow = {"flowId": (await api.make_flow())["id"]} if kind == DEPLOYMENT else {}
    made = (await api.post(kind, {"name": unique("policy"), **flow})).json
    answer = await api.send("PUT", f"{kind}/{made['id']}", json={**made, "enforceProvenance": True})
    assert answer.status == 200, answer.text
    changed = answer.json
    assert (changed["enforceProvenance"], changed["version"]) == (True, 2)


@pytest.mark.parametrize("kind", ["attached", "deployment"])
async def test_an_environment_with_policies_keeps_its_name(api: Caller, kind: str) -> None:
    """Otherwise somebody who may not change policies makes another one of this name, to which none applies."""
    environment = await make_environment(api)
    path = f"/environments/{environment}"
    if kind == "attached":
        policy = (await api.post(POLICIES, {"name": unique("policy")})).json
        await api.post("/policy-attachments", {"policyId": policy["id"], "environmentId": environment})
    else:
        policy = await deployment_policy(api, (await api.make_flow())["id"], environmentId=environment)
    await put(api, path, {"name": unique("other")}, 409)
    await put(api, path, {"description": "the same name"})
    assert (await api.send("DELETE", path)).status == 409
    await api.send("DELETE", f"{POLICIES if kind == 'attached' else DEPLOYMENT}/{policy['id']}")
    await put(api, path, {"name": unique("other")})
    assert (await api.send("DELETE", path)).status == 204
