"""Users and members on the wire: who they are, what they may do, and that nothing of a leaver's works."""

import asyncio
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from storage.services import Services
from tests.api.caller import Caller, found_organisation, unique
from tests.api.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="session")


def email() -> str:
    return f"{unique('ada')}@example.com"


async def make_member(api: Caller, role: str = "MEMBER") -> Any:
    user = (await api.post("/users", {"email": email(), "name": "Ada"})).json
    body = {"userId": user["id"], "role": role}
    return (await api.post(f"/organisations/{api.tenant.org_slug}/members", body)).json


async def key_of(api: Caller, member: Any, **fields: Any) -> Caller:
    body = {"ownerId": member["userId"], "ownerType": "USER", "label": "laptop", **fields}
    made = (await api.post("/api-keys", body)).json
    return Caller(api.client, made["plainTextKey"], api.tenant)


async def answers(holder: Caller, status: int) -> None:
    """Within a second, a change counts for the credential: this is what it gets when it creates a flow."""
    end = asyncio.get_running_loop().time() + 1
    while (await holder.send("POST", "/flows", json={"name": unique("flow")})).status != status:
        assert asyncio.get_running_loop().time() < end
        await asyncio.sleep(0.01)


async def stops(holder: Caller) -> None:
    """The credential is not valid any more."""
    await answers(holder, 401)


async def test_a_user_has_every_field_of_the_entity(api: Caller) -> None:
    address = email()
    made = (await api.post("/users", {"email": f" {address.upper()}".strip(), "name": "Ada Lovelace"})).json
    assert made == {
        "id": made["id"],
        "email": address,
        "name": "Ada Lovelace",
        "githubId": None,
        "isActive": True,
        "version": 1,
        "createdAt": made["createdAt"],
        "updatedAt": made["createdAt"],
    }
    assert_times(made, "createdAt", "updatedAt")
    assert (await api.get(f"/users/{made['id']}")).json == made
    assert made in (await api.get("/users")).json


@pytest.mark.parametrize(
    "address", ["", "ada", "ada@", "@example.com", "a b@example.com", "ada@exa mple.com", "a" * 250]
)
async def test_a_bad_address_is_400(api: Caller, address: str) -> None:
    assert (await api.post("/users", {"email": address, "name": "Ada"}, status=400)).fields == ["email"]


async def test_an_address_is_taken_in_any_case_and_in_every_organisation(
    http: TestClient[Any, Any], app_services: Services, api: Caller
) -> None:
    stranger, address = await found_organisation(http, app_services), email()
    await api.post("/users", {"email": address, "name": "Ada"})
    for other in (api, stranger):
        taken = await other.post("/users", {"email": address.title(), "name": "Ada"}, status=409)
        assert taken.json["message"].startswith(f"A user with the e-mail address '{address}' exists already")
    body = {"email": email(), "name": "Ada", "githubId": unique("github")}
    answers = await asyncio.gather(*(api.send("POST", "/users", json={**body, "email": email()}) for _ in range(3)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409], "so is a GitHub id, also in a race"


async def test_a_user_is_changed_but_not_the_address(api: Caller) -> None:
    user = (await api.post("/users", {"email": email(), "name": "Ada"})).json
    changed = (await api.send("PUT", f"/users/{user['id']}", json={"name": "Ada King", "email": email()})).json
    assert changed == {**user, "name": "Ada King", "version": 2, "updatedAt": changed["updatedAt"]}


async def test_a_member_is_found_by_address_or_id_with_a_role_in_any_spelling(api: Caller) -> None:
    members = f"/organisations/{api.tenant.org_slug}/members"
    user = (await api.post("/users", {"email": email(), "name": "Ada"})).json
    made = (await api.post(members, {"email": user["email"].upper(), "role": "service-account"})).json
    assert made == {
        "userId": user["id"],
        "email": user["email"],
        "name": "Ada",
        "role": "SERVICE_ACCOUNT",
        "isActive": True,
        "joinedAt": made["joinedAt"],
    }
    assert (await api.get(f"{members}/{user['id']}")).json == made
    assert made in (await api.get(members)).json
    await api.post(members, {"userId": user["id"], "role": "VIEWER"}, status=409)
    changed = await api.send("PUT", f"{members}/{user['id']}", json={"role": "auditor"})
    assert (changed.status, changed.json["role"]) == (200, "AUDITOR")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"role": "OWNER"}, "role"),
        ({"role": None}, "role"),
        ({"email": None}, "email"),
        ({"email": "nobody"}, "email"),
        ({"userId": "0190a8c0-0000-7000-8000-000000000001"}, "email"),
    ],
)
async def test_a_bad_member_is_400(api: Caller, fields: Any, named: str) -> None:
    body = {"email": "ada@example.com", "role": "MEMBER", **fields}
    refused = await api.post(f"/organisations/{api.tenant.org_slug}/members", body, status=400)
    assert refused.fields == [named]


async def test_nobody_of_that_address_is_404(api: Caller) -> None:
    body = {"email": email(), "role": "MEMBER"}
    await api.post(f"/organisations/{api.tenant.org_slug}/members", body, status=404)


async def test_nothing_of_a_leaver_works_a_moment_later(api: Caller) -> None:
    member = await make_member(api)
    leaver = await key_of(api, member)
    await leaver.get("/flows")
    path = f"/organisations/{api.tenant.org_slug}/members/{member['userId']}"
    assert (await api.send("DELETE", path)).status == 204
    await stops(leaver)
    await api.get(path, status=404)
    back = {"userId": member["userId"], "role": "MEMBER"}
    await api.post(f"/organisations/{api.tenant.org_slug}/members", back)
    await leaver.get("/flows", status=401)


async def test_a_role_counts_at_once_for_the_members_keys(api: Caller) -> None:
    member = await make_member(api)
    holder = await key_of(api, member)
    await holder.make_flow()
    path = f"/organisations/{api.tenant.org_slug}/members/{member['userId']}"
    assert (await api.send("PUT", path, json={"role": "VIEWER"})).status == 200
    await answers(holder, 403)
    await holder.get("/flows")


@pytest.mark.parametrize("way", ["disabled", "deleted"])
async def test_a_users_keys_stop_with_the_user(api: Caller, way: str) -> None:
    member = await make_member(api)
    holder = await key_of(api, member)
    await holder.get("/flows")
    path = f"/users/{member['userId']}"
    ended = await (api.send("PUT", path, json={"isActive": False}) if way == "disabled" else api.send("DELETE", path))
    assert ended.status in {200, 204}
    await stops(holder)
    if way == "disabled":
        assert ended.json["isActive"] is False
        await api.send("PUT", path, json={"isActive": True})
        await holder.get("/flows")
    else:
        await api.get(path, status=404)
        await api.post("/users", {"email": member["email"], "name": "Another Ada"})


async def test_the_last_administrator_stays(api: Caller) -> None:
    first = await make_member(api, "ADMIN")
    members = f"/organisations/{api.tenant.org_slug}/members"
    ways = [
        ("DELETE", f"{members}/{first['userId']}", None),
        ("PUT", f"{members}/{first['userId']}", {"role": "MEMBER"}),
        ("PUT", f"/users/{first['userId']}", {"isActive": False}),
        ("DELETE", f"/users/{first['userId']}", None),
    ]
    for method, path, body in ways:
        refused = await api.send(method, path, json=body)
        assert (refused.status, "last administrator" in refused.json["message"]) == (409, True), path
    second = await make_member(api, "ADMIN")
    both = [api.send("DELETE", f"{members}/{one['userId']}") for one in (first, second)]
    assert sorted(answer.status for answer in await asyncio.gather(*both)) == [204, 409], "not even in a race"


async def test_nobody_keeps_a_leaver_of_another_organisation_in_office(
    http: TestClient[Any, Any], app_services: Services, api: Caller
) -> None:
    """By making the leaver the only administrator of their own."""
    other = await found_organisation(http, app_services)
    for way in ("suspend", "remove"):
        leaver = await make_member(api)
        body = {"userId": leaver["userId"], "role": "ADMIN"}
        await other.post(f"/organisations/{other.tenant.org_slug}/members", body)
        holder = await key_of(other, leaver)
        path = f"/users/{leaver['userId']}"
        if way == "suspend":
            assert (await api.send("PUT", path, json={"isActive": False})).status == 200
        else:
            assert (await api.send("DELETE", path)).status == 204
        await stops(holder)


async def test_the_last_administrator_leaves_with_the_organisation_only(admin: Caller) -> None:
    slug = unique("ended")
    ours, inside = f"/organisations/{slug}", {"X-Trailgate-Organisation": slug}
    await admin.post("/organisations", {"slug": slug, "name": "Ended"})
    last = (await admin.post("/users", {"email": email(), "name": "Ada"}, headers=inside)).json
    await admin.post(f"{ours}/members", {"userId": last["id"], "role": "ADMIN"})
    body = {"ownerId": last["id"], "ownerType": "USER", "label": "laptop"}
    key = Caller(admin.client, (await admin.post("/api-keys", body, headers=inside)).json["plainTextKey"])
    for caller, headers in ((key, {}), (admin, inside)):
        refused = await caller.send("DELETE", f"/users/{last['id']}", headers=headers)
        assert (refused.status, "last administrator" in refused.json["message"]) == (409, True)
    refused = await admin.send("DELETE", ours)
    assert (refused.status, "1 members, 1 API keys, 1 users" in refused.json["message"]) == (409, True)
    account = (await admin.post("/service-accounts", {"name": "ci"}, headers=inside)).json
    refused = await admin.send("DELETE", f"{ours}?withLastMember=true")
    assert (refused.status, "still has 1 service accounts:" in refused.json["message"]) == (409, True)
    assert (await key.get("/me")).json["id"] == last["id"], "what is refused changes nothing"
    assert (await admin.send("DELETE", f"/service-accounts/{account['id']}", headers=inside)).status == 204
    assert (await admin.send("DELETE", f"{ours}?withLastMember=true")).status == 204
    await stops(key)


async def test_another_organisations_people_are_nobodys(
    http: TestClient[Any, Any], app_services: Services, api: Caller
) -> None:
    stranger, member = await found_organisation(http, app_services), await make_member(api)
    ours = api.tenant.org_slug
    for path in (
        f"/users/{member['userId']}",
        f"/organisations/{ours}/members",
        f"/organisations/{ours}/members/{member['userId']}",
    ):
        await stranger.get(path, status=404)
    await stranger.post(f"/organisations/{ours}/members", {"userId": member["userId"], "role": "ADMIN"}, status=404)


async def test_a_member_of_two_organisations_is_managed_by_the_first(
    http: TestClient[Any, Any], app_services: Services, api: Caller
) -> None:
    stranger, member = await found_organisation(http, app_services), await make_member(api)
    theirs = f"/organisations/{stranger.tenant.org_slug}/members"
    await stranger.post(theirs, {"email": member["email"], "role": "VIEWER"})
    assert (await stranger.get(f"/users/{member['userId']}")).json["email"] == member["email"]
    for method, body in (("PUT", {"isActive": False}), ("DELETE", None)):
        assert (await stranger.send(method, f"/users/{member['userId']}", json=body)).status == 403
    assert (await stranger.send("DELETE", f"{theirs}/{member['userId']}")).status == 204


async def test_nobody_gives_more_than_they_hold(api: Caller) -> None:
    """A key for managing people alone makes no administrator."""
    admin = await make_member(api, "ADMIN")
    narrow = await key_of(api, admin, permissions=["identity:manage", "identity:read", "keys:own"])
    user = (await narrow.post("/users", {"email": email(), "name": "Eve"})).json
    members = f"/organisations/{api.tenant.org_slug}/members"
    refused = await narrow.post(members, {"userId": user["id"], "role": "ADMIN"}, status=403)
    assert "your credential cannot" in refused.json["message"]
    await narrow.post("/service-accounts", {"name": unique("ci"), "role": "ADMIN"}, status=403)
    body = {"ownerId": admin["userId"], "ownerType": "USER", "label": "all of it"}
    await narrow.post("/api-keys", body, status=403)


async def test_a_dry_run_changes_nobody(api: Caller) -> None:
    member = await make_member(api)
    path = f"/organisations/{api.tenant.org_slug}/members/{member['userId']}"
    seen = await api.send("DELETE", path, headers={"X-Dry-Run": "true"})
    assert (seen.status, seen.json["wouldDelete"]) == (200, member)
    assert (await api.get(path)).json == member


async def test_everybody_sees_who_they_are(api: Caller) -> None:
    member = await make_member(api, "VIEWER")
    holder = await key_of(api, member, permissions=["facts:read"])
    me = (await holder.get("/me")).json
    assert me == {
        "id": member["userId"],
        "kind": "user",
        "name": "Ada",
        "email": member["email"],
        "organisation": api.tenant.org_slug,
        "organisationId": str(api.tenant.org_id),
        "role": "VIEWER",
        "permissions": ["facts:read", "profile:own"],
        "credentialId": me["credentialId"],
        "scopes": None,
    }
