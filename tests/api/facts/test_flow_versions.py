"""Changing flows: partial merges, versions that stay, ETag and If-Match."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from storage.services import Services
from tests.api.caller import Answer, Caller, unique
from workers.seal import Sealer

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEMPLATE = "trail: {attestations: [{name: tests, type: junit}]}"


async def put(api: Caller, flow: Any, body: Any, status: int = 200, **request: Any) -> Answer:
    answer = await api.send("PUT", f"/flows/{flow['id']}", json=body, **request)
    assert answer.status == status, answer.text
    return answer


async def versions(services: Services, flow: Any) -> list[Any]:
    """What is kept of a flow, oldest first."""
    async with services.database.read() as reader:
        return list(
            await reader.rows("SELECT * FROM flow_versions WHERE flow_id = $1 ORDER BY version", UUID(flow["id"]))
        )


async def full_flow(api: Caller) -> Any:
    return await api.make_flow(
        description="ships the payments",
        requiredAttestations=["BUILD"],
        tags={"team": "payments"},
        templateYaml=TEMPLATE,
        requiresApproval=True,
        requiredApproverRoles=["cab"],
        visibility="PUBLIC",
    )


CHANGES: dict[str, Any] = {
    "name": None,  # a fresh one
    "description": "",
    "requiredAttestations": ["TEST", "LINT"],
    "requiredAttestationTypes": [],
    "tags": {"tier": "gold"},
    "templateYaml": "trail: {attestations: [{name: scan}]}",
    "requiresApproval": False,
    "requiredApproverRoles": [],
    "visibility": "PRIVATE",
}


@pytest.mark.parametrize("field", CHANGES)
async def test_a_change_touches_its_field_and_no_other(api: Caller, field: str) -> None:
    flow = await full_flow(api)
    value = CHANGES[field] if CHANGES[field] is not None else unique("renamed")
    changed = (await put(api, flow, {field: value})).json
    expected = {**flow, field: value, "version": 2, "updatedAt": changed["updatedAt"]}
    if field.startswith("requiredAttestation"):
        expected |= {"requiredAttestations": value, "requiredAttestationTypes": value}
    assert changed == expected
    assert changed["updatedAt"] > flow["updatedAt"]
    assert (await api.get(f"/flows/{flow['id']}")).json == changed


@pytest.mark.parametrize("field", CHANGES)
async def test_null_takes_the_template_away_and_is_absent_elsewhere(api: Caller, field: str) -> None:
    """Explicit null clears nullable fields."""
    flow = await full_flow(api)
    changed = (await put(api, flow, {field: None})).json
    cleared = field == "templateYaml"
    assert changed["version"] == (2 if cleared else 1)
    assert changed["templateYaml"] == (None if cleared else TEMPLATE)
    assert {**changed, "templateYaml": None, "version": 0, "updatedAt": ""} == {
        **flow, "templateYaml": None, "version": 0, "updatedAt": "",
    }  # fmt: skip


async def test_a_blank_template_is_none(api: Caller) -> None:
    assert (await put(api, await full_flow(api), {"templateYaml": " \n"})).json["templateYaml"] is None


@pytest.mark.parametrize("unchanged", [{}, {"colour": "blue"}, "everything"])
async def test_what_changes_nothing_makes_no_version(api: Caller, app_services: Services, unchanged: Any) -> None:
    flow = await full_flow(api)
    answer = await put(api, flow, flow if unchanged == "everything" else unchanged)
    assert (answer.json, answer.headers["ETag"]) == (flow, '"1"')
    assert len(await versions(app_services, flow)) == 1
    events = (await api.get("/audit?eventType=FLOW_UPDATED")).json
    assert events["totalElements"] == 0


async def test_a_rename_to_a_taken_name_is_409_and_to_itself_200(api: Caller) -> None:
    flow, other = await api.make_flow(), await api.make_flow()
    conflict = await put(api, flow, {"name": other["name"]}, status=409)
    assert other["name"] in conflict.json["message"]
    assert (await put(api, flow, {"name": flow["name"]})).json["version"] == 1
    assert (await api.get(f"/flows/{flow['id']}")).json == flow
    freed = flow["name"]
    await put(api, flow, {"name": unique("moved")})
    assert (await put(api, other, {"name": freed})).json["name"] == freed


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"description": "x" * 2049}, "description"),
        ({"tags": {"k" * 65: "v"}}, "tags"),
        ({"tags": {f"k{n}": "v" for n in range(51)}}, "tags"),
        ({"tags": {" ": "v"}}, "tags"),
        ({"tags": {"team": "v" * 257}}, "tags.team"),
        ({"requiredAttestations": ["a", " "]}, "requiredAttestations.1"),
        ({"requiresApproval": "yes"}, "requiresApproval"),
        ({"visibility": "SECRET"}, "visibility"),
        ({"templateYaml": "trail: ["}, "templateYaml"),
        ({"templateYaml": "trail: {attestations: [{type: junit}]}"}, "templateYaml"),
    ],
)
async def test_a_refusal_names_the_field_and_changes_nothing(api: Caller, body: Any, field: str) -> None:
    flow = await full_flow(api)
    assert (await put(api, flow, {"description": "new", **body}, status=400)).fields == [field]
    assert (await api.get(f"/flows/{flow['id']}")).json == flow


async def test_two_lists_that_differ_and_another_organisation(api: Caller) -> None:
    flow = await api.make_flow()
    await put(api, flow, {"requiredAttestations": ["A"], "requiredAttestationTypes": ["B"]}, status=400)
    await put(api, flow, {"orgSlug": "default"}, status=404)
    assert (await put(api, flow, {"orgSlug": api.tenant.org_slug})).json["version"] == 1


async def test_the_etag_is_the_version(api: Caller) -> None:
    created = await api.post("/flows", {"name": unique("flow")})
    assert created.headers["ETag"] == '"1"'
    flow = created.json
    changed = await put(api, flow, {"description": "x"}, headers={"If-Match": created.headers["ETag"]})
    assert changed.headers["ETag"] == '"2"'
    assert (await api.get(f"/flows/{flow['id']}")).headers["ETag"] == '"2"'


@pytest.mark.parametrize("tag", ['"2"', "2", "*", " * ", '"1", "2"', '"1","2"', 'W/"1", "2"'])
async def test_if_match_that_names_the_version(api: Caller, tag: str) -> None:
    flow = await api.make_flow()
    await put(api, flow, {"description": "second"})
    assert (await put(api, flow, {"description": "third"}, headers={"If-Match": tag})).json["version"] == 3


@pytest.mark.parametrize("tag", ['"1"', '"3"', "1", 'W/"2"', '"abc"', "", '"2', '2"', '"' + "9" * 4000 + '"', "\u0662"])
async def test_if_match_that_names_another_is_412(api: Caller, tag: str) -> None:
    """RFC 9110, 13.1.1: weak tags never match."""
    flow = await api.make_flow()
    second = (await put(api, flow, {"description": "second"})).json
    refused = await put(api, flow, {"description": "third"}, status=412, headers={"If-Match": tag})
    assert refused.json["error"] == "Precondition Failed"
    deletion = await api.send("DELETE", f"/flows/{flow['id']}", headers={"If-Match": tag})
    assert deletion.status == 412
    assert (await api.get(f"/flows/{flow['id']}")).json == second


async def test_an_unknown_flow_is_404_whatever_if_match_says(api: Caller) -> None:
    nobody = {"id": str(uuid4())}
    for headers in ({}, {"If-Match": '"1"'}, {"If-Match": "*"}):
        await put(api, nobody, {"description": "x"}, status=404, headers=headers)


async def test_of_parallel_changes_none_is_lost(api: Caller, app_services: Services) -> None:
    """Both versions are kept, and the second is made from the first."""
    flow = await api.make_flow()
    bodies: list[Any] = [
        {"description": "d"},
        {"tags": {"a": "b"}},
        {"requiresApproval": True},
        {"visibility": "PUBLIC"},
    ]
    answers = await asyncio.gather(*(put(api, flow, body) for body in bodies))
    assert sorted(answer.json["version"] for answer in answers) == [2, 3, 4, 5]
    merged = (await api.get(f"/flows/{flow['id']}")).json
    assert {key: merged[key] for body in bodies for key in body} == {k: v for body in bodies for k, v in body.items()}
    assert [row["version"] for row in await versions(app_services, flow)] == [1, 2, 3, 4, 5]


async def test_of_parallel_changes_with_one_etag_one_wins(api: Caller, app_services: Services) -> None:
    flow = await api.make_flow()
    for turn in range(3):
        tag = {"If-Match": f'"{turn + 1}"'}
        calls = (
            api.send("PUT", f"/flows/{flow['id']}", json={"description": f"{turn} {n}"}, headers=tag) for n in range(4)
        )
        assert sorted(answer.status for answer in await asyncio.gather(*calls)) == [200, 412, 412, 412]
    assert len(await versions(app_services, flow)) == 4


async def test_of_parallel_renames_to_one_name_one_wins(api: Caller) -> None:
    flows = [await api.make_flow() for _ in range(4)]
    name = unique("wanted")
    calls = (api.send("PUT", f"/flows/{flow['id']}", json={"name": name}) for flow in flows)
    assert sorted(answer.status for answer in await asyncio.gather(*calls)) == [200, 409, 409, 409]


async def test_old_versions_stay_as_they_were(api: Caller, app_services: Services) -> None:
    flow = await full_flow(api)
    [before] = await versions(app_services, flow)
    await put(api, flow, {"name": unique("second"), "templateYaml": None, "tags": {}})
    first, second = await versions(app_services, flow)
    assert dict(first) == dict(before)
    assert (second["template_text"], second["template"], second["tags"]) == (None, None, {})


async def test_a_trail_keeps_the_version_it_was_opened_with(api: Caller) -> None:
    """Editing a flow never touches existing trails."""
    flow = await api.make_flow(requiredAttestations=["BUILD"])
    old = await api.make_trail(flow["id"])
    await put(api, flow, {"requiredAttestations": ["BUILD", "TEST"]})
    new = await api.make_trail(flow["id"])
    assert (old["flowVersion"], new["flowVersion"]) == (1, 2)
    for trail in (old, new):
        await api.attest(trail["id"])
    assert await api.status_of(old["id"]) == "COMPLIANT"
    assert await api.status_of(new["id"]) == "PENDING"


async def test_every_change_is_audited_and_verifies(api: Caller, app_services: Services) -> None:
    flow = await full_flow(api)
    await put(api, flow, {"name": unique("second")})
    await put(api, flow, {"templateYaml": None, "description": "third"})
    events = [one for one in (await api.get("/audit")).json["events"] if one["recordId"] == flow["id"]]
    assert [(one["eventType"], one["recordVersion"]) for one in events] == [
        ("FLOW_UPDATED", 3),
        ("FLOW_UPDATED", 2),
        ("FLOW_CREATED", 1),
    ]
    await Sealer()(app_services)
    verdict = (await api.post(f"/ledger/verify/{flow['id']}", status=200)).json
    assert verdict["verified"] is True, verdict


async def test_a_dry_run_of_a_change_and_of_a_deletion(api: Caller, app_services: Services) -> None:
    flow = await full_flow(api)
    on = {"X-Dry-Run": "true"}
    rehearsed = (await put(api, flow, {"description": "new"}, headers=on)).json
    would = rehearsed["wouldUpdate"]
    assert rehearsed["dryRun"] is True
    assert would == {**flow, "description": "new", "version": 2, "updatedAt": would["updatedAt"]}
    deletion = await api.send("DELETE", f"/flows/{flow['id']}", headers=on)
    assert (deletion.status, deletion.json["wouldDelete"]["id"]) == (200, flow["id"])
    assert (await api.get(f"/flows/{flow['id']}")).json == flow
    assert len(await versions(app_services, flow)) == 1


async def test_a_dry_run_has_the_errors_of_the_real_call(api: Caller) -> None:
    flow, other = await api.make_flow(), await api.make_flow()
    await api.make_trail(flow["id"])
    on = {"X-Dry-Run": "true"}
    await put(api, flow, {"name": other["name"]}, status=409, headers=on)
    await put(api, flow, {"templateYaml": "["}, status=400, headers=on)
    await put(api, flow, {"description": "x"}, status=412, headers={**on, "If-Match": '"7"'})
    await put(api, {"id": str(uuid4())}, {"description": "x"}, status=404, headers=on)
    assert (await api.send("DELETE", f"/flows/{flow['id']}", headers=on)).status == 409
