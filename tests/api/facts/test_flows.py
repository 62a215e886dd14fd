"""Flows on the wire."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from storage.services import Services
from tests.api.caller import SECRET, Caller, trail_body, unique
from tests.api.times import assert_times
from workers.seal import Sealer

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENTITY = {
    "id",
    "name",
    "description",
    "requiredAttestationTypes",
    "tags",
    "orgSlug",
    "templateYaml",
    "requiresApproval",
    "requiredApproverRoles",
    "createdAt",
    "updatedAt",
}
"""The fields of version 1."""
OURS = {"requiredAttestations", "visibility", "version"}


async def test_a_flow_has_every_field_of_the_entity_and_its_defaults(api: Caller) -> None:
    name = unique("flow")
    flow = (await api.post("/flows", {"name": name})).json
    assert flow.keys() == ENTITY | OURS
    assert_times(flow, "createdAt", "updatedAt")
    told = {key: flow[key] for key in flow if key not in {"id", "createdAt", "updatedAt"}}
    assert told == {
        "name": name,
        "description": "",
        "requiredAttestationTypes": [],
        "requiredAttestations": [],
        "tags": {},
        "orgSlug": api.tenant.org_slug,
        "templateYaml": None,
        "requiresApproval": False,
        "requiredApproverRoles": [],
        "visibility": "PRIVATE",
        "version": 1,
    }


async def test_a_flow_reads_as_it_was_created(api: Caller) -> None:
    sent = {
        "name": unique("flow"),
        "description": "ships the payments",
        "requiredAttestationTypes": ["BUILD", "a, with comma", "TEST"],
        "tags": {"team": "payments", "empty": ""},
        "orgSlug": api.tenant.org_slug,
        "requiresApproval": True,
        "requiredApproverRoles": ["cab", "ciso"],
        "visibility": "PUBLIC",
    }
    made = (await api.post("/flows", sent)).json
    assert {key: made[key] for key in sent} == sent
    assert (await api.get(f"/flows/{made['id']}")).json == made
    assert (await api.get("/flows")).json == [made]


@pytest.mark.parametrize("field", ["requiredAttestations", "requiredAttestationTypes"])
async def test_both_names_of_the_required_types_go_in_and_come_out(api: Caller, field: str) -> None:
    flow = await api.make_flow(**{field: ["TEST", "BUILD"]})
    assert flow["requiredAttestations"] == flow["requiredAttestationTypes"] == ["TEST", "BUILD"]


async def test_both_names_at_once_must_agree(api: Caller) -> None:
    same = await api.make_flow(requiredAttestations=["A"], requiredAttestationTypes=["A"])
    assert same["requiredAttestations"] == ["A"]
    body = {"name": unique("flow"), "requiredAttestations": ["A"], "requiredAttestationTypes": ["B"]}
    assert "requiredAttestations" in (await api.post("/flows", body, status=400)).json["message"]


DEFAULTED: dict[str, Any] = {
    "description": "",
    "requiredAttestationTypes": [],
    "requiredAttestations": [],
    "tags": {},
    "orgSlug": None,
    "templateYaml": None,
    "requiresApproval": False,
    "requiredApproverRoles": [],
    "visibility": "PRIVATE",
}


@pytest.mark.parametrize("field", DEFAULTED)
async def test_null_means_absent_where_there_is_a_default(api: Caller, field: str) -> None:
    flow = await api.make_flow(**{field: None})
    assert flow[field] == (api.tenant.org_slug if field == "orgSlug" else DEFAULTED[field])


@pytest.mark.parametrize("visibility", ["public", "Public", "PUBLIC"])
async def test_visibility_is_taken_in_any_case(api: Caller, visibility: str) -> None:
    assert (await api.make_flow(visibility=visibility))["visibility"] == "PUBLIC"


async def test_unknown_fields_are_ignored(api: Caller) -> None:
    flow = await api.make_flow(colour="blue", id=str(uuid4()), createdAt="2001-01-01T00:00:00Z", version=9)
    assert "colour" not in flow
    assert flow["version"] == 1
    assert not flow["createdAt"].startswith("2001")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"name": " \t "}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"description": "x" * 2049}, "description"),
        ({"requiredAttestations": ["BUILD", " "]}, "requiredAttestations.1"),
        ({"requiredAttestationTypes": ["x"] * 201}, "requiredAttestationTypes"),
        ({"requiredApproverRoles": [""]}, "requiredApproverRoles.0"),
        ({"tags": {f"k{n}": "v" for n in range(51)}}, "tags"),
        ({"tags": {"k" * 65: "v"}}, "tags"),
        ({"tags": {"": "v"}}, "tags"),
        ({"tags": {"  ": "v"}}, "tags"),
        ({"tags": {"team": "v" * 257}}, "tags.team"),
        ({"tags": {"team": None}}, "tags.team"),
        ({"visibility": "SECRET"}, "visibility"),
    ],
)
async def test_a_refusal_names_the_field(api: Caller, fields: dict[str, Any], named: str) -> None:
    answer = await api.post("/flows", {"name": unique("flow"), **fields}, status=400)
    assert answer.fields == [named]
    assert named in answer.json["message"]
    assert (await api.get("/flows")).json == []


async def test_the_limits_themselves_are_allowed(api: Caller) -> None:
    tags = {f"{n:02}".ljust(64, "k"): "v" * 256 for n in range(50)}
    flow = await api.make_flow(name=unique("").ljust(255, "x"), description="x" * 2048, tags=tags)
    assert flow["tags"] == tags


async def test_a_missing_name_is_named(api: Caller) -> None:
    assert (await api.post("/flows", {}, status=400)).fields == ["name"]


async def test_a_taken_name_is_409_and_another_organisations_is_free(api: Caller, admin: Caller) -> None:
    name = unique("flow")
    await api.make_flow(name=name)
    conflict = await api.post("/flows", {"name": name}, status=409)
    assert (conflict.json["status"], conflict.json["error"]) == (409, "Conflict")
    assert name in conflict.json["message"]
    assert len((await api.get("/flows")).json) == 1
    await admin.make_flow(name=name)


async def test_of_parallel_creations_of_one_name_one_wins(api: Caller) -> None:
    for _ in range(5):
        name = unique("flow")
        answers = await asyncio.gather(*(api.send("POST", "/flows", json={"name": name}) for _ in range(4)))
        assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]
    assert len((await api.get("/flows")).json) == 5


@pytest.mark.parametrize("path", ["/flows", "/trails", "/trails/{trail}/attestations"])
async def test_a_body_cannot_name_another_organisation(api: Caller, path: str) -> None:
    flow = await api.make_flow()
    trail = await api.make_trail(flow["id"])
    body = {"name": unique("x"), "flowId": flow["id"], "type": "BUILD", "orgSlug": "default"}
    body |= {"gitCommitSha": "a", "gitBranch": "b", "gitAuthor": "c", "gitAuthorEmail": "d@e"}
    target = path.format(trail=trail["id"])
    refused = await api.post(target, body, status=404)
    assert "default" in refused.json["message"]
    assert (await api.post(target, {**body, "orgSlug": api.tenant.org_slug})).json["orgSlug"] == api.tenant.org_slug


async def test_an_unknown_flow_is_404(api: Caller) -> None:
    missing = str(uuid4())
    answer = await api.get(f"/flows/{missing}", status=404)
    assert answer.json["error"] == "Not Found"
    assert missing in answer.json["message"]


async def test_a_flow_is_found_by_its_exact_name(api: Caller) -> None:
    flow = await api.make_flow(name="payments & \u00fcbersee")
    await api.make_flow(name="payments")
    answer = await api.send("GET", "/flows", params={"name": flow["name"]})
    assert answer.json == [flow]
    assert answer.headers["X-Total-Count"] == "1"
    for name in ("pay", "PAYMENTS", "payments ", ""):
        none = await api.send("GET", "/flows", params={"name": name})
        assert (none.status, none.json, none.headers["X-Total-Count"]) == (200, [], "0")


async def test_a_deleted_flow_is_gone_and_its_name_free(api: Caller) -> None:
    kept, flow = await api.make_flow(), await api.make_flow()
    deleted = await api.send("DELETE", f"/flows/{flow['id']}")
    assert (deleted.status, deleted.text) == (204, "")
    for method, path in (("GET", ""), ("GET", "/template"), ("GET", "/trails"), ("DELETE", "")):
        assert (await api.send(method, f"/flows/{flow['id']}{path}")).status == 404
    assert (await api.send("PUT", f"/flows/{flow['id']}", json={"description": "x"})).status == 404
    await api.post("/trails", trail_body(flow["id"]), status=404)
    listed = await api.get("/flows")
    assert (listed.json, listed.headers["X-Total-Count"]) == ([kept], "1")
    again = await api.make_flow(name=flow["name"])
    assert again["id"] != flow["id"]
    assert (await api.get("/flows")).headers["X-Total-Count"] == "2"


async def test_a_flow_with_trails_is_not_deleted(api: Caller) -> None:
    """It is 409 while trails exist."""
    flow = await api.make_flow()
    await api.make_trail(flow["id"])
    refused = await api.send("DELETE", f"/flows/{flow['id']}")
    assert refused.status == 409
    assert "trails" in refused.json["message"]
    assert (await api.get(f"/flows/{flow['id']}")).json == flow


async def test_a_flow_that_lets_webhooks_in_is_not_deleted(api: Caller) -> None:
    flow = await api.make_flow()
    config = await api.make_config(flow["id"])
    refused = await api.send("DELETE", f"/flows/{flow['id']}")
    assert refused.status == 409
    assert "webhook configs" in refused.json["message"]
    assert (await api.send("DELETE", f"/webhook-configs/{config['id']}")).status == 204
    assert (await api.send("DELETE", f"/flows/{flow['id']}")).status == 204


async def test_of_parallel_deletions_one_wins(api: Caller) -> None:
    flow = await api.make_flow()
    answers = await asyncio.gather(*(api.send("DELETE", f"/flows/{flow['id']}") for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [204, 404, 404, 404]
    assert (await api.get("/flows")).headers["X-Total-Count"] == "0"


async def test_no_config_is_created_on_a_flow_that_is_being_deleted(api: Caller) -> None:
    for _ in range(20):
        flow = await api.make_flow()
        body = {"source": "GITHUB", "secret": SECRET, "flowId": flow["id"]}
        deleted, created = await asyncio.gather(
            api.send("DELETE", f"/flows/{flow['id']}"), api.send("POST", "/webhook-configs", json=body)
        )
        assert (deleted.status, created.status) in {(204, 404), (409, 201)}


async def test_what_is_deleted_stays_in_the_audit_and_verifies(api: Caller, app_services: Services) -> None:
    flow = await api.make_flow()
    await api.send("DELETE", f"/flows/{flow['id']}")
    events = [one for one in (await api.get("/audit")).json["events"] if one["recordId"] == flow["id"]]
    assert [(one["eventType"], one["recordVersion"]) for one in events] == [("FLOW_DELETED", 2), ("FLOW_CREATED", 1)]
    await Sealer()(app_services)
    verdict = (await api.post(f"/ledger/verify/{flow['id']}", status=200)).json
    assert verdict["verified"] is True, verdict
