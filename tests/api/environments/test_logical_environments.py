"""Logical environments on the wire: their members, which may be logical themselves, and every version audited."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from domain.environments.logical_environments import MAX_LEVELS, MAX_MEMBERS
from storage.environments.commands import logical_environments as commands
from tests.api.caller import Caller, unique
from tests.api.environments.reporting import A, events, line, make_environment, make_logical, report
from tests.api.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="session")

LOGICAL = "/logical-environments"


async def member_ids(api: Caller, logical: str) -> list[str]:
    return [one["physicalEnvId"] for one in (await api.get(f"{LOGICAL}/{logical}")).json["members"]]


async def add(api: Caller, logical: str, member: str, status: int = 200) -> Any:
    return (await api.post(f"{LOGICAL}/{logical}/members/{member}", status=status)).json


async def put(api: Caller, path: str, body: Any, status: int = 200, **request: Any) -> Any:
    answer = await api.send("PUT", path, json=body, **request)
    assert answer.status == status, answer.text
    return answer.json


async def delete(api: Caller, path: str, status: int = 204, **request: Any) -> None:
    answer = await api.send("DELETE", path, **request)
    assert answer.status == status, answer.text


async def test_a_logical_environment_is_made_without_members(api: Caller) -> None:
    made = await api.post(LOGICAL, {"name": "production", "description": "all of it"})
    assert made.headers["ETag"] == '"1"'
    assert_times(made.json, "createdAt", "updatedAt")
    assert {name: made.json[name] for name in ("name", "description", "members", "version")} == {
        "name": "production",
        "description": "all of it",
        "members": [],
        "version": 1,
    }
    assert (await api.get(LOGICAL)).json == [made.json]
    assert (await api.get(f"{LOGICAL}/{made.json['id']}")).json == made.json
    assert (await api.post(LOGICAL, {"name": unique("plain")})).json["description"] == ""


async def test_members_are_added_and_removed(api: Caller) -> None:
    logical, first = await make_logical(api), await make_environment(api, name="eu", type="K8S")
    second = await make_environment(api, name="us")
    added = await add(api, logical, first)
    assert_times(added["members"][0], "addedAt")
    later = await add(api, logical, second)
    assert later["version"] == 3
    assert later["members"] == [
        added["members"][0],
        {
            "physicalEnvId": second,
            "physicalEnvName": "us",
            "physicalEnvType": "GENERIC",
            "addedAt": later["updatedAt"],
        },
    ]
    assert [later["members"][0][name] for name in ("physicalEnvName", "physicalEnvType")] == ["eu", "K8S"]
    await add(api, logical, first, 409)
    await delete(api, f"{LOGICAL}/{logical}/members/{first}")
    await delete(api, f"{LOGICAL}/{logical}/members/{first}", 404)
    assert (await api.get(f"{LOGICAL}/{logical}")).json["members"] == later["members"][1:]


async def test_members_are_shown_as_they_are_now(api: Caller) -> None:
    member = await make_environment(api)
    logical = await make_logical(api, member)
    await put(api, f"/environments/{member}", {"name": "renamed", "type": "ECS"})
    [shown] = (await api.get(f"{LOGICAL}/{logical}")).json["members"]
    assert (shown["physicalEnvName"], shown["physicalEnvType"]) == ("renamed", "ECS")


async def test_member_ids_replace_the_members(api: Caller) -> None:
    one, two, three = [await make_environment(api) for _ in range(3)]
    made = (await api.post(LOGICAL, {"name": "l", "memberIds": [one, two, one]})).json
    assert [member["physicalEnvId"] for member in made["members"]] == sorted([one, two])
    path = f"{LOGICAL}/{made['id']}"
    changed = await put(api, path, {"memberIds": [three, two], "name": "m"})
    assert (changed["name"], changed["version"]) == ("m", 2)
    assert [member["physicalEnvId"] for member in changed["members"]] == [two, three]
    assert changed["members"][0]["addedAt"] == made["createdAt"]
    for nothing in ({"memberIds": [two, three]}, {"name": "m"}, {"memberIds": None, "name": "m"}):
        assert await put(api, path, nothing) == changed
    assert (await put(api, path, {"memberIds": []}))["members"] == []


async def test_what_is_missing_is_named(api: Caller) -> None:
    nobody, member, logical = str(uuid4()), await make_environment(api), await make_logical(api)
    assert nobody in (await add(api, logical, nobody, 404))["message"]
    assert nobody in (await add(api, nobody, member, 404))["message"]
    assert nobody in (await api.post(LOGICAL, {"name": "x", "memberIds": [member, nobody]}, 404)).json["message"]
    for method in ("GET", "PUT", "DELETE"):
        answer = await api.send(method, f"{LOGICAL}/{nobody}", json={"name": "x"} if method == "PUT" else None)
        assert answer.status == 404
    await api.get(f"{LOGICAL}/{nobody}/snapshots/latest", 404)


async def test_a_name_is_that_of_one_environment_of_either_kind(api: Caller) -> None:
    physical = await make_environment(api, name="production")
    await api.post(LOGICAL, {"name": "production"}, 409)
    logical = await make_logical(api, name="europe")
    await api.post("/environments", {"name": "europe"}, 409)
    await put(api, f"{LOGICAL}/{logical}", {"name": "production"}, 409)
    await put(api, f"/environments/{physical}", {"name": "europe"}, 409)
    await delete(api, f"{LOGICAL}/{logical}")
    await api.get(f"{LOGICAL}/{logical}", 404)
    await api.post("/environments", {"name": "europe"})


async def test_either_kind_is_found_under_its_own_path_only(api: Caller) -> None:
    physical, logical = await make_environment(api), await make_logical(api)
    for path in (f"/environments/{logical}", f"{LOGICAL}/{physical}"):
        await api.get(path, 404)
        await put(api, path, {"description": "x"}, 404)
        await put(api, path, {"description": "x"}, 404, headers={"If-Match": '"7"'})
        await delete(api, path, 404)
    await report(api, logical, line("api", A), status=404)
    await add(api, physical, logical, 404)
    assert [one["id"] for one in (await api.get("/environments")).json] == [physical]
    listed = await api.get(LOGICAL)
    assert ([one["id"] for one in listed.json], listed.headers["X-Total-Count"]) == ([logical], "1")


async def test_a_deleted_member_is_gone_and_the_next_change_leaves_it_out(api: Caller) -> None:
    gone, stays = await make_environment(api), await make_environment(api)
    logical = await make_logical(api, gone, stays)
    await delete(api, f"/environments/{gone}")
    assert await member_ids(api, logical) == [stays]
    await add(api, logical, gone, 404)
    await delete(api, f"{LOGICAL}/{logical}/members/{gone}", 404)
    await put(api, f"{LOGICAL}/{logical}", {"memberIds": [stays]})
    [told] = await events(api, "ENVIRONMENT_UPDATED")
    assert json.loads(told["payload"])["membersRemoved"] == [gone]


async def test_every_change_of_members_is_audited_and_a_version(api: Caller) -> None:
    one, two = sorted([await make_environment(api), await make_environment(api)])
    logical = await make_logical(api, one, name="l")
    await add(api, logical, two)
    await delete(api, f"{LOGICAL}/{logical}/members/{one}")
    await put(api, f"{LOGICAL}/{logical}", {"description": "x"})
    await delete(api, f"{LOGICAL}/{logical}")
    found = await events(api, "ENVIRONMENT_CREATED", "ENVIRONMENT_UPDATED", "ENVIRONMENT_DELETED")
    payloads = [json.loads(event["payload"]) for event in found]
    told = [payload for payload in payloads if payload["environmentId"] == logical]
    assert [(one["version"], one["membersAdded"], one["membersRemoved"]) for one in told] == [
        (1, [one], []),
        (2, [two], []),
        (3, [], [one]),
        (4, [], []),
        (5, [], []),
    ]
    assert {(one["name"], one["type"]) for one in told} == {("l", "logical")}


async def test_another_version_than_expected_is_left_alone(api: Caller) -> None:
    member, logical = await make_environment(api), await make_logical(api)
    path, old = f"{LOGICAL}/{logical}/members/{member}", {"If-Match": '"1"'}
    assert (await api.post(path, status=200, headers=old)).headers["ETag"] == '"2"'
    await api.post(path, status=412, headers=old)
    for where in (path, f"{LOGICAL}/{logical}"):
        await delete(api, where, 412, headers=old)
    await put(api, f"{LOGICAL}/{logical}", {"memberIds": []}, 412, headers=old)
    assert await member_ids(api, logical) == [member]


async def test_a_dry_run_of_a_member_shows_what_would_be(api: Caller) -> None:
    member, logical = await make_environment(api), await make_logical(api)
    path = f"{LOGICAL}/{logical}/members/{member}?dryRun=true"
    assert len((await api.post(path, status=200)).json["wouldCreate"]["members"]) == 1
    assert await member_ids(api, logical) == []
    await delete(api, path, 404)


async def test_logical_environments_may_be_members(api: Caller) -> None:
    member = await make_environment(api)
    inner = await make_logical(api, member, name="inner")
    outer = await make_logical(api, inner, member)
    shown = (await api.get(f"{LOGICAL}/{outer}")).json["members"]
    assert {one["physicalEnvId"]: one["physicalEnvType"] for one in shown} == {inner: "LOGICAL", member: "GENERIC"}
    await delete(api, f"{LOGICAL}/{inner}")
    assert await member_ids(api, outer) == [member]


async def test_no_environment_contains_itself(api: Caller) -> None:
    c = await make_logical(api, name="c")
    b = await make_logical(api, c, name="b")
    a = await make_logical(api, b, name="a")
    assert "'c' → 'c'" in (await add(api, c, c, 409))["message"]
    assert "'c' → 'a' → 'b' → 'c'" in (await add(api, c, a, 409))["message"]
    refused = await put(api, f"{LOGICAL}/{c}", {"memberIds": [b]}, 409)
    assert "'c' → 'b' → 'c'" in refused["message"]
    await delete(api, f"{LOGICAL}/{b}/members/{c}")
    await add(api, c, a)


async def test_a_cycle_is_not_closed_by_simultaneous_requests(api: Caller) -> None:
    """Each of them alone would be right."""
    for _ in range(5):
        circle = [await make_logical(api) for _ in range(3)]
        edges = list(zip(circle, [*circle[1:], circle[0]], strict=True))
        paths = [f"{LOGICAL}/{one}/members/{other}" for one, other in edges]
        answers = await asyncio.gather(*(api.send("POST", path) for path in paths))
        assert sorted(answer.status for answer in answers) == [200, 200, 409]
        puts = [(one, {"memberIds": [other]}) for one, other in edges]
        again = await asyncio.gather(*(api.send("PUT", f"{LOGICAL}/{one}", json=body) for one, body in puts))
        assert sorted(answer.status for answer in again) == [200, 200, 409]


async def test_simultaneous_members_are_all_kept(api: Caller) -> None:
    logical, members = await make_logical(api), [await make_environment(api) for _ in range(10)]
    await asyncio.gather(*(add(api, logical, member) for member in members))
    assert sorted(await member_ids(api, logical)) == sorted(members)
    assert (await api.get(f"{LOGICAL}/{logical}")).json["version"] == 11
    answers = await asyncio.gather(*(api.send("DELETE", f"{LOGICAL}/{logical}/members/{members[0]}") for _ in range(3)))
    assert sorted(answer.status for answer in answers) == [204, 404, 404]


async def test_a_chain_has_a_limit_at_both_ends(api: Caller) -> None:
    inner = await make_logical(api)
    chain = [inner]
    for _ in range(MAX_LEVELS - 1):
        chain.append(await make_logical(api, chain[-1]))
    assert "at most 8" in (await api.post(LOGICAL, {"name": "x", "memberIds": [chain[-1]]}, 409)).json["message"]
    await add(api, inner, await make_logical(api), 409)
    await add(api, inner, await make_environment(api))


async def test_the_number_of_members_has_a_limit(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [str(uuid4()) for _ in range(MAX_MEMBERS + 1)]
    assert (await api.post(LOGICAL, {"name": "l", "memberIds": ids}, 400)).fields == ["memberIds"]
    monkeypatch.setattr(commands, "MAX_MEMBERS", 2)
    first, second, third = [await make_environment(api) for _ in range(3)]
    logical = await make_logical(api, first, second)
    assert "at most 2 members" in (await add(api, logical, third, 409))["message"]
    await delete(api, f"{LOGICAL}/{logical}/members/{first}")
    await add(api, logical, third)
