"""Service accounts and API keys on the wire: what CI gets, how a key is replaced, and when it stops."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from storage.services import Services
from tests.api.caller import Caller, found_organisation, unique
from tests.api.identity.test_members import answers, key_of, make_member, stops

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def make_account(api: Caller, **fields: Any) -> Any:
    return (await api.post("/service-accounts", {"name": unique("ci"), **fields})).json


async def make_key(api: Caller, account: Any, **fields: Any) -> Any:
    return (await api.post(f"/service-accounts/{account['id']}/api-keys", {"label": "build", **fields})).json


def holder_of(api: Caller, key: Any) -> Caller:
    return Caller(api.client, key["plainTextKey"], api.tenant)


async def test_an_account_has_every_field_of_the_entity(api: Caller) -> None:
    made = await make_account(api, description="Builds of payments", orgSlug="ignored")
    assert made == {
        "id": made["id"],
        "name": made["name"],
        "description": "Builds of payments",
        "role": "SERVICE_ACCOUNT",
        "isActive": True,
        "version": 1,
        "createdAt": made["createdAt"],
        "updatedAt": made["createdAt"],
    }
    assert (await api.get(f"/service-accounts/{made['id']}")).json == made
    assert made in (await api.get("/service-accounts")).json
    await api.post("/service-accounts", {"name": made["name"]}, status=409)


async def test_an_account_is_changed_and_its_role_counts_at_once(api: Caller) -> None:
    account = await make_account(api)
    holder = holder_of(api, await make_key(api, account))
    await holder.post("/flows", {"name": unique("flow")}, status=403)
    path = f"/service-accounts/{account['id']}"
    other = await make_account(api)
    assert (await api.send("PUT", path, json={"name": other["name"]})).status == 409
    changed = await api.send("PUT", path, json={"role": "MEMBER", "description": "all"}, headers={"If-Match": '"1"'})
    assert (changed.status, changed.json["role"], changed.json["version"]) == (200, "MEMBER", 2)
    await answers(holder, 201)
    assert (await api.send("PUT", path, json={"name": "x"}, headers={"If-Match": '"1"'})).status == 412


@pytest.mark.parametrize("way", ["disabled", "deleted"])
async def test_an_accounts_keys_stop_with_the_account(api: Caller, way: str) -> None:
    account = await make_account(api)
    holder = holder_of(api, await make_key(api, account))
    await holder.get("/flows")
    path = f"/service-accounts/{account['id']}"
    if way == "disabled":
        assert (await api.send("PUT", path, json={"isActive": False})).json["isActive"] is False
    else:
        assert (await api.send("DELETE", path)).status == 204
        await api.get(path, status=404)
        await api.post("/service-accounts", {"name": account["name"]})
    await stops(holder)


async def test_a_key_has_every_field_of_the_entity_and_its_text_once(api: Caller) -> None:
    account = await make_account(api)
    made = (await api.post(f"/service-accounts/{account['id']}/api-keys", {"name": "build", "ttlDays": 30})).json
    assert made == {
        "id": made["id"],
        "ownerId": account["id"],
        "ownerType": "SERVICE_ACCOUNT",
        "label": "build",
        "keyPrefix": made["plainTextKey"][:11],
        "isActive": True,
        "permissions": None,
        "scopes": None,
        "createdAt": made["createdAt"],
        "lastUsedAt": None,
        "ttlDays": 30,
        "expiresAt": made["expiresAt"],
        "revokedAt": None,
        "breakGlass": False,
        "plainTextKey": made["plainTextKey"],
    }
    assert datetime.fromisoformat(made["expiresAt"]) - datetime.fromisoformat(made["createdAt"]) == timedelta(days=30)
    shown = {name: value for name, value in made.items() if name != "plainTextKey"}
    for path in (f"/service-accounts/{account['id']}/api-keys", f"/api-keys/owners/{account['id']}"):
        assert (await api.get(path)).json == [shown]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"ttlDays": 0}, "ttlDays"),
        ({"ttlDays": -1}, "ttlDays"),
        ({"ttlDays": 3651}, "ttlDays"),
        ({"ttlDays": "30"}, "ttlDays"),
        ({"label": " "}, "label"),
        ({"label": None}, "label"),
        ({"permissions": []}, "permissions"),
        ({"permissions": ["facts:everything"]}, "permissions"),
        ({"permissions": ["facts:manage"]}, "permissions"),
        ({"scope": ["repo:acme/app"]}, "scope"),
        ({"expiresAt": "2026-01-01T00:00:00Z"}, "expiresAt"),
    ],
)
async def test_a_bad_key_is_400(api: Caller, fields: Any, named: str) -> None:
    account = await make_account(api)
    body = {"label": "build", **fields}
    refused = await api.post(f"/service-accounts/{account['id']}/api-keys", body, status=400)
    assert refused.fields[0].split(".")[0] == named


async def test_a_change_that_names_nothing_to_change_is_400(admin: Caller, api: Caller) -> None:
    user = (await api.post("/users", {"email": f"{unique('ada')}@example.com", "name": "Ada"})).json
    misspelt = {"isactive": False}
    for path in (f"/service-accounts/{(await make_account(api))['id']}", f"/users/{user['id']}"):
        refused = await api.send("PUT", path, json=misspelt)
        assert (refused.status, "isActive" in refused.json["message"]) == (400, True), "the access would not end"
    path = f"/organisations/{api.tenant.org_slug}"
    assert (await admin.send("PUT", path, json={"slug": "other"})).json["message"].endswith("give name or description")


async def test_a_key_may_do_less_than_its_owner(api: Caller) -> None:
    holder = holder_of(api, await make_key(api, await make_account(api), permissions=["facts:read"]))
    await holder.get("/flows")
    await holder.post("/trails", {}, status=403)


async def test_a_key_is_replaced_without_a_gap(api: Caller) -> None:
    account = await make_account(api)
    old = await make_key(api, account, ttlDays=30, permissions=["facts:read"])
    path = f"/service-accounts/{account['id']}/api-keys/{old['id']}"
    new = (await api.post(f"{path}/rotate")).json
    for key in (old, new):
        await holder_of(api, key).get("/flows")
    assert (new["label"], new["permissions"], new["ttlDays"]) == (old["label"], ["facts:read"], 30)
    listed = {key["id"]: key for key in (await api.get(f"/service-accounts/{account['id']}/api-keys")).json}
    overlap = datetime.fromisoformat(listed[old["id"]]["expiresAt"]) - datetime.fromisoformat(new["createdAt"])
    assert overlap == timedelta(hours=24)
    again = await api.post(f"{path}/rotate", status=409)
    assert "rotate its successor" in again.json["message"], "a second one would end with the overlap"
    newest = (await api.post(f"/api-keys/{new['id']}/rotate", {"overlapHours": 0})).json
    await stops(holder_of(api, new))
    await holder_of(api, newest).get("/flows")
    await api.post(f"/api-keys/{new['id']}/rotate", status=409)


async def test_who_replaces_a_key_holds_what_the_key_can_do_and_no_more_is_asked(api: Caller) -> None:
    account = await make_account(api, role="MEMBER")
    permissions = ["facts:read", "keys:own", "identity:manage"]
    manager = await key_of(api, await make_member(api, "ADMIN"), permissions=permissions)
    narrow, whole = await make_key(api, account, permissions=["facts:read"]), await make_key(api, account)
    for path in (f"/service-accounts/{account['id']}/api-keys", "/api-keys"):
        narrow = (await manager.post(f"{path}/{narrow['id']}/rotate")).json
        await manager.post(f"{path}/{whole['id']}/rotate", status=403)
    await api.send("PUT", f"/service-accounts/{account['id']}", json={"role": "NONE"})
    await manager.post(f"/api-keys/{narrow['id']}/rotate")


@pytest.mark.parametrize("way", ["create", "rotate"])
async def test_an_account_that_is_being_deleted_gets_no_key(api: Caller, way: str) -> None:
    for _ in range(5):
        account = await make_account(api)
        path = f"/service-accounts/{account['id']}"
        key = await make_key(api, account)
        made = ("/api-keys", {"label": "late"}) if way == "create" else (f"/api-keys/{key['id']}/rotate", {})
        sent = await asyncio.gather(api.send("POST", f"{path}{made[0]}", json=made[1]), api.send("DELETE", path))
        assert (sent[0].status in {201, 404}, sent[1].status) == (True, 204)
        shown = (await api.get(f"/api-keys/owners/{account['id']}")).json
        assert not any(one["isActive"] for one in shown)


async def test_a_key_is_revoked_at_once_and_stays_in_the_list(api: Caller) -> None:
    account = await make_account(api)
    key, other = await make_key(api, account), await make_account(api)
    holder = holder_of(api, key)
    await holder.get("/flows")
    assert (await api.send("DELETE", f"/service-accounts/{other['id']}/api-keys/{key['id']}")).status == 404
    for _ in range(2):
        path = f"/service-accounts/{account['id']}/api-keys/{key['id']}"
        assert (await api.send("DELETE", path)).status == 204
        await stops(holder)
    [shown] = (await api.get(f"/service-accounts/{account['id']}/api-keys")).json
    assert (shown["isActive"], shown["revokedAt"] is None) == (False, False)


async def test_people_manage_their_own_keys_and_no_others(api: Caller) -> None:
    one, another = await make_member(api), await make_member(api)
    first, second = await key_of(api, one), await key_of(api, another)
    [mine] = (await first.get(f"/api-keys/owners/{one['userId']}")).json
    [theirs] = (await second.get(f"/api-keys/owners/{another['userId']}")).json
    await first.get(f"/api-keys/owners/{another['userId']}", status=404)
    body = {"ownerId": another["userId"], "ownerType": "USER", "label": "stolen"}
    await first.post("/api-keys", body, status=404)
    await first.post(f"/api-keys/{theirs['id']}/rotate", status=404)
    assert (await first.send("DELETE", f"/api-keys/{theirs['id']}/revoke")).status == 404
    own = (await first.post("/api-keys", {**body, "ownerId": one["userId"]})).json
    assert (await first.send("DELETE", f"/api-keys/{own['id']}/revoke")).status == 204
    assert (await first.send("DELETE", f"/api-keys/{mine['id']}/revoke")).status == 204
    await stops(first)


@pytest.mark.parametrize("kind", ["USER", "SERVICE_ACCOUNT"])
async def test_an_owner_who_is_not_of_the_organisation_is_404(
    http: TestClient[Any, Any], app_services: Services, api: Caller, kind: str
) -> None:
    stranger = await found_organisation(http, app_services)
    theirs = await (make_member(stranger) if kind == "USER" else make_account(stranger))
    body = {"ownerId": theirs.get("userId") or theirs["id"], "ownerType": kind, "label": "x"}
    await api.post("/api-keys", body, status=404)


async def test_every_change_is_in_the_audit(api: Caller) -> None:
    account = await make_account(api)
    key = await make_key(api, account)
    await api.send("DELETE", f"/service-accounts/{account['id']}")
    events = (await api.get("/audit?size=50")).json["events"]
    told = [(event["eventType"], event["payload"]) for event in events]
    names = {name for name, _ in told}
    assert {
        "PRINCIPAL_CREATED",
        "API_KEY_CREATED",
        "API_KEY_REVOKED",
        "MEMBERSHIP_DELETED",
        "PRINCIPAL_DELETED",
    } <= names
    assert key["plainTextKey"] not in str(told)
