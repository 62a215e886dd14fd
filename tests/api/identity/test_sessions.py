"""Sessions: how a person stays signed in, and when that ends."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient

from storage.identity.commands.credential_uses import note_uses
from storage.services import Services
from tests.api.caller import Answer, Caller, found_organisation, make_holder
from tests.api.identity.test_members import answers, key_of, make_member, stops

pytestmark = pytest.mark.asyncio(loop_scope="session")

COOKIE = "trailgate_session"


@pytest_asyncio.fixture(loop_scope="session")
async def ada(api: Caller) -> Caller:
    """A person who administers the organisation."""
    return await key_of(api, await make_member(api, "ADMIN"))


async def sign_in(holder: Caller) -> tuple[Caller, Any]:
    """The same person with a session instead of the key, and the session."""
    started = (await holder.post("/sessions")).json
    return replace(holder, key=started["token"]), started


async def by_cookie(api: Caller, token: str, method: str, path: str, **headers: str) -> Answer:
    return await replace(api, key=None).send(method, path, headers={"Cookie": f"{COOKIE}={token}", **headers}, json={})


async def test_a_session_shows_itself_and_its_text_only_once(ada: Caller) -> None:
    answer = await ada.post("/sessions", headers={"User-Agent": "A browser"})
    started = answer.json
    assert started["token"].startswith("tgs_")
    assert (started["method"], started["userAgent"], started["address"]) == ("API_KEY", "A browser", "127.0.0.1")
    assert (started["isActive"], started["isCurrent"]) == (True, False)
    session = replace(ada, key=started["token"])
    [listed] = (await session.get("/sessions")).json
    assert listed == {name: value for name, value in started.items() if name != "token"} | {"isCurrent": True}
    assert (await session.get("/me")).json["credentialId"] == started["id"]


async def test_the_cookie_is_kept_from_scripts_and_other_sites(ada: Caller) -> None:
    answer = await ada.post("/sessions")
    parts = {part.strip().partition("=")[0].lower(): part for part in answer.headers["Set-Cookie"].split(";")}
    assert parts.keys() == {COOKIE, "path", "max-age", "httponly", "samesite"}
    assert parts["samesite"].strip() == "SameSite=Lax"
    assert (await by_cookie(ada, answer.json["token"], "GET", "/me")).status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": "{own}"}, 201),
        ({}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example.com"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_a_change_with_a_cookie_must_come_from_an_own_page(
    ada: Caller, headers: dict[str, str], status: int
) -> None:
    token = (await ada.post("/sessions")).json["token"]
    own = str(ada.client.make_url("/")).rstrip("/")
    sent = {name: value.format(own=own) for name, value in headers.items()}
    before = len((await ada.get("/flows")).json)
    answer = await replace(ada, key=None).send(
        "POST", "/flows", json={"name": "a flow"}, headers={"Cookie": f"{COOKIE}={token}", **sent}
    )
    assert answer.status == status
    assert len((await ada.get("/flows")).json) == before + (status == 201)


async def test_a_header_counts_before_the_cookie_and_a_bad_cookie_is_401(ada: Caller) -> None:
    token = (await ada.post("/sessions")).json["token"]
    assert (await by_cookie(ada, token, "GET", "/me", **{"X-Api-Key": "wrong"})).status == 401
    assert (await by_cookie(ada, "tgs_" + "0" * 64, "GET", "/me")).status == 401
    assert (await by_cookie(ada, "", "GET", "/me")).status == 401


async def test_signing_out_ends_the_session_and_removes_the_cookie(ada: Caller) -> None:
    session, _ = await sign_in(ada)
    out = await session.post("/logout", status=204)
    assert f"{COOKIE}=" in out.headers["Set-Cookie"]
    assert "Max-Age=0" in out.headers["Set-Cookie"]
    await stops(session)
    await ada.post("/logout", status=409)
    [ended] = (await ada.get("/sessions")).json
    assert ended["isActive"] is False


async def test_a_session_can_do_what_its_key_can_and_ends_with_it(api: Caller) -> None:
    member = await make_member(api, "ADMIN")
    holder = await key_of(api, member, permissions=["facts:read"])
    session, _ = await sign_in(holder)
    assert (await session.get("/me")).json["permissions"] == ["facts:read", "profile:own"]
    await session.post("/sessions", status=409)
    key_id = (await holder.get("/me")).json["credentialId"]
    await api.send("DELETE", f"/api-keys/{key_id}/revoke")
    await stops(session)


async def test_an_administrator_sees_and_ends_the_sessions_of_members(api: Caller) -> None:
    member = await make_member(api, "MEMBER")
    first, started = await sign_in(await key_of(api, member))
    second, _ = await sign_in(await key_of(api, member))
    path = f"/organisations/{api.tenant.org_slug}/members/{member['userId']}/sessions"
    assert len((await api.get(path)).json) == 2
    assert (await api.send("DELETE", f"/sessions/{started['id']}")).status == 204
    await stops(first)
    await second.get("/me")
    assert (await api.send("DELETE", path)).status == 204
    await stops(second)


async def test_nobody_ends_the_session_of_another_or_of_another_organisation(
    http: TestClient[Any, Any], app_services: Services, api: Caller, ada: Caller
) -> None:
    session, started = await sign_in(ada)
    other = await key_of(api, await make_member(api, "MEMBER"))
    stranger = await found_organisation(http, app_services)
    for caller in (other, stranger):
        assert (await caller.send("DELETE", f"/sessions/{started['id']}")).status == 404
        assert started["id"] not in [one["id"] for one in (await caller.get("/sessions")).json]
    await session.get("/me")


@pytest.mark.parametrize("way", ["removed", "disabled", "deleted"])
async def test_the_sessions_of_a_leaver_stop_at_once(api: Caller, way: str) -> None:
    member = await make_member(api, "MEMBER")
    session, _ = await sign_in(await key_of(api, member))
    await answers(session, 201)
    user = f"/users/{member['userId']}"
    if way == "removed":
        path = f"/organisations/{api.tenant.org_slug}/members/{member['userId']}"
        assert (await api.send("DELETE", path)).status == 204
    elif way == "disabled":
        assert (await api.send("PUT", user, json={"isActive": False})).status == 200
    else:
        assert (await api.send("DELETE", user)).status == 204
    await stops(session)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sessions SET expires_at = now() - interval '1 second' WHERE id = $1",
        "UPDATE sessions SET created_at = now() - interval '2 hours' WHERE id = $1",
    ],
    ids=["past its end", "not used for an hour"],
)
async def test_a_session_ends_in_time(ada: Caller, app_services: Services, change: str) -> None:
    session, started = await sign_in(ada)
    async with app_services.database.transaction() as tx:
        await tx.execute(change, UUID(started["id"]))
    await stops(session)
    assert [one["isActive"] for one in (await ada.get("/sessions")).json] == [False]


async def test_a_session_in_use_goes_on(ada: Caller, app_services: Services) -> None:
    session, started = await sign_in(ada)
    session_id = UUID(started["id"])
    async with app_services.database.transaction() as tx:
        await note_uses(tx, "session", {session_id: tx.now})
        await tx.execute("UPDATE sessions SET created_at = now() - interval '2 hours' WHERE id = $1", session_id)
    await session.get("/me")


async def test_programs_do_not_sign_in(api: Caller, app_services: Services) -> None:
    account = (await api.post("/service-accounts", {"name": "build"})).json
    key = (await api.post(f"/service-accounts/{account['id']}/api-keys", {"label": "build"})).json
    await replace(api, key=key["plainTextKey"]).post("/sessions", status=409)


async def test_what_a_session_does_is_told_by_the_audit_and_sealed(ada: Caller, app_services: Services) -> None:
    session, started = await sign_in(ada)
    flow = await session.make_flow()
    events = (await ada.get("/audit?size=5")).json["events"]
    made = next(one for one in events if one["eventType"] == "FLOW_CREATED")
    assert made["credentialId"] == started["id"]
    assert flow["id"] in str(made["payload"])
    assert "SESSION_STARTED" in [one["eventType"] for one in events]
    assert started["token"] not in str(events)


async def test_a_role_without_permissions_sees_itself_and_its_sessions(api: Caller, app_services: Services) -> None:
    holder = await make_holder(app_services, api.tenant, "none")
    caller = replace(api, key=holder.key)
    assert (await caller.get("/me")).json["permissions"] == ["profile:own"]
    assert (await caller.get("/sessions")).json == []


async def test_the_session_of_a_key_with_scopes_has_the_same_scopes(api: Caller) -> None:
    mine, other = await api.make_flow(), await api.make_flow()
    holder = await key_of(api, await make_member(api, "MEMBER"), scopes=[f"flow:{mine['id']}"])
    session, _ = await sign_in(holder)
    assert (await session.get("/me")).json["scopes"] == [f"flow:{mine['id']}"]
    await session.get(f"/flows/{mine['id']}")
    await session.get(f"/flows/{other['id']}", 404)
    await session.post("/flows", {"name": "another"}, 403)
    assert len((await session.get("/sessions")).json) == 1
    await session.post("/logout", status=204)
    await stops(session)
