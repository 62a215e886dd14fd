"""Single sign-on over HTTP, at an identity provider on this machine that lies as it is told."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import DummyCookieJar
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from api.app import build_app
from api.http.calls import SERVICES
from integrations.oidc import answers
from storage.services import Services, open_services
from tests.api.caller import Answer, Caller, found_organisation, unique
from tests.api.environments.reporting import events
from tests.api.identity.test_members import key_of, make_member, stops
from tests.conftest import Installation
from tests.vendors.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider, identity_provider

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGE = "https://app.example.com/callback"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def reaching(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    """Services that may reach this machine."""
    folder = tmp_path_factory.mktemp("sso")
    settings = installation.settings(folder, outbound_allow="127.0.0.0/8", outbound_timeout=2.0)
    async with open_services(settings, "test sso") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(reaching: Services) -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(TestServer(build_app(reaching)), cookie_jar=DummyCookieJar()) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def idp() -> AsyncIterator[IdentityProvider]:
    async with identity_provider("RSA") as running:
        running.claims = {"sub": unique("sub"), "email": f"{unique('ada')}@example.com", "name": "Ada"}
        yield running


@dataclass
class Desk:
    """An organisation with an identity provider."""

    api: Caller
    idp: IdentityProvider

    @property
    def path(self) -> str:
        return f"/organisations/{self.api.tenant.org_slug}/sso"

    async def configure(self, **fields: Any) -> Any:
        body = {
            "provider": "okta",
            "issuerUrl": self.idp.issuer,
            "clientId": CLIENT_ID,
            "clientSecret": CLIENT_SECRET,
            "redirectUris": [PAGE],
            **fields,
        }
        return (await self.api.post(self.path, body)).json

    async def begin(self, status: int = 200, page: str = PAGE) -> Answer:
        return await replace(self.api, key=None).get(f"{self.path}/login", status, params={"redirectUri": page})

    async def visit(self, login_url: str) -> dict[str, str]:
        """What the provider adds to the address of the page."""
        async with aiohttp.ClientSession() as browser, browser.get(login_url, allow_redirects=False) as answer:
            assert answer.status == 302
            return dict(URL(answer.headers["Location"]).query)

    async def finish(self, query: dict[str, str], **headers: str) -> Answer:
        nobody = replace(self.api, key=None)
        return await nobody.send("GET", f"{self.path}/callback", params=query, headers=headers)

    async def sign_in(self) -> Answer:
        return await self.finish(await self.visit((await self.begin()).json["loginUrl"]))

    async def signed_in(self) -> tuple[Caller, Any]:
        answer = await self.sign_in()
        assert answer.status == 200, answer.text
        return replace(self.api, key=answer.json["token"]), answer.json

    async def role_of(self, user_id: str) -> str:
        path = f"/organisations/{self.api.tenant.org_slug}/members/{user_id}"
        return str((await self.api.get(path)).json["role"])


@pytest_asyncio.fixture(loop_scope="session")
async def desk(server: TestClient[Any, Any], reaching: Services, idp: IdentityProvider) -> Desk:
    return Desk(await found_organisation(server, reaching), idp)


async def test_a_configuration_has_every_field_and_never_shows_the_secret(desk: Desk) -> None:
    await desk.api.get(desk.path, 404)
    made = await desk.configure()
    assert made == {
        "id": made["id"],
        "orgSlug": desk.api.tenant.org_slug,
        "provider": "OKTA",
        "issuerUrl": desk.idp.issuer,
        "clientId": CLIENT_ID,
        "hasClientSecret": True,
        "attributeMappings": '{"email":"email","name":"name"}',
        "groupRoleMappings": "{}",
        "defaultRole": "VIEWER",
        "redirectUris": [PAGE],
        "isMandatory": False,
        "version": 1,
        "createdAt": made["createdAt"],
        "updatedAt": made["createdAt"],
    }
    assert (await desk.api.get(desk.path)).json == made
    await desk.api.post(desk.path, made | {"clientSecret": "x"}, 409)
    changed = await desk.api.send("PUT", desk.path, json={"defaultRole": "AUDITOR", "clientId": None})
    assert changed.json == made | {"defaultRole": "AUDITOR", "version": 2, "updatedAt": changed.json["updatedAt"]}
    assert (await desk.api.send("DELETE", desk.path)).status == 204
    await desk.api.get(desk.path, 404)
    await desk.begin(404)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"issuerUrl": "ftp://idp.example.com"}, "issuerUrl"),
        ({"issuerUrl": "https://a:b@idp.example.com"}, "issuerUrl"),
        ({"issuerUrl": "nonsense"}, "issuerUrl"),
        ({"provider": "none such"}, "provider"),
        ({"attributeMappings": "[]"}, "attributeMappings"),
        ({"attributeMappings": '{"e-mail": "email"}'}, "attributeMappings"),
        ({"attributeMappings": '{"email": 1}'}, "attributeMappings"),
        ({"groupRoleMappings": "{"}, "groupRoleMappings"),
        ({"groupRoleMappings": '{"A": "KING"}'}, "groupRoleMappings"),
        ({"redirectUris": ["javascript:alert(1)"]}, "redirectUris"),
        ({"redirectUris": ["https://a.example.com/#x"]}, "redirectUris"),
        ({"defaultRole": "KING"}, "defaultRole"),
    ],
)
async def test_a_bad_configuration_names_the_field(desk: Desk, fields: dict[str, Any], named: str) -> None:
    body = {"provider": "OIDC", "issuerUrl": "https://idp.example.com", "clientId": "c", **fields}
    refused = await desk.api.post(desk.path, body, 400)
    assert [field.partition(".")[0].partition("[")[0] for field in refused.fields] == [named]
    await desk.api.get(desk.path, 404)


async def test_a_new_person_signs_in_and_is_a_member(desk: Desk) -> None:
    await desk.configure()
    ada, answer = await desk.signed_in()
    assert (answer["name"], answer["email"]) == ("Ada", desk.idp.claims["email"])
    me = (await ada.get("/me")).json
    assert (me["id"], me["role"], me["organisation"]) == (answer["userId"], "VIEWER", desk.api.tenant.org_slug)
    [session] = (await ada.get("/sessions")).json
    assert (session["method"], session["id"]) == ("SSO", answer["sessionId"])
    again = (await desk.signed_in())[1]
    assert again["userId"] == answer["userId"]
    names = [one["eventType"] for one in (await desk.api.get("/audit?size=20")).json["events"]]
    assert {"PRINCIPAL_CREATED", "MEMBERSHIP_CREATED", "SSO_IDENTITY_CREATED", "SESSION_STARTED"} <= set(names)


async def test_groups_give_roles_at_every_sign_in_and_take_them_away(desk: Desk) -> None:
    await desk.configure(groupRoleMappings='{"Leads": "MEMBER", "Audit": "AUDITOR"}', defaultRole="NONE")
    desk.idp.claims["groups"] = ["Audit", "Leads", "Other", 7]
    _, answer = await desk.signed_in()
    assert await desk.role_of(answer["userId"]) == "MEMBER"
    for groups, role in ((["Audit"], "AUDITOR"), (["Other"], "NONE"), ("Leads", "NONE"), (["Leads"], "MEMBER")):
        desk.idp.claims["groups"] = groups
        await desk.signed_in()
        assert await desk.role_of(answer["userId"]) == role


async def test_without_group_mappings_the_administrators_role_stays(desk: Desk) -> None:
    await desk.configure()
    desk.idp.claims["groups"] = ["Leads"]
    _, answer = await desk.signed_in()
    path = f"/organisations/{desk.api.tenant.org_slug}/members/{answer['userId']}"
    await desk.api.send("PUT", path, json={"role": "MEMBER"})
    await desk.signed_in()
    assert await desk.role_of(answer["userId"]) == "MEMBER"


async def test_groups_of_the_last_sign_in_count_for_approvals(desk: Desk) -> None:
    await desk.configure(defaultRole="MEMBER")
    trail = (await desk.api.make_trail((await desk.api.make_flow())["id"], gitAuthor="x", gitAuthorEmail="x@y"))["id"]
    approval = (await desk.api.post(f"/trails/{trail}/approvals", {"requiredGroups": ["cab"]})).json["id"]
    for groups, status in ((["sre"], 403), ([], 403), (["CAB", "sre"], 200)):
        desk.idp.claims["groups"] = groups
        ada, answer = await desk.signed_in()
        possible = [one["id"] for one in (await desk.api.get(f"/approvals/{approval}")).json["approvers"]]
        assert possible == ([answer["userId"]] if status == 200 else [])
        await ada.post(f"/approvals/{approval}/approve", {}, status)
    changes = [one for one in await events(desk.api, "SSO_IDENTITY_UPDATED") if one["actorId"] == answer["userId"]]
    assert len(changes) == 3, "one for each change of the groups"
    await desk.signed_in()
    assert len(await events(desk.api, "SSO_IDENTITY_UPDATED")) == 3
    assert (await desk.api.send("DELETE", f"/users/{answer['userId']}/personal-data")).status == 204
    async with desk.api.client.app[SERVICES].database.read() as reader:
        kept = await reader.rows("SELECT groups FROM sso_identities WHERE principal_id = $1", UUID(answer["userId"]))
    assert [row["groups"] for row in kept] == [None]


async def test_the_last_administrator_stays_whatever_the_groups_say(desk: Desk) -> None:
    await desk.configure(groupRoleMappings='{"Admins": "ADMIN"}')
    desk.idp.claims["groups"] = ["Admins"]
    _, answer = await desk.signed_in()
    desk.idp.claims["groups"] = []
    await desk.signed_in()
    assert await desk.role_of(answer["userId"]) == "ADMIN"


async def test_an_existing_user_is_found_by_the_address_in_any_case_and_later_by_the_subject(desk: Desk) -> None:
    await desk.configure()
    member = await make_member(desk.api, "MEMBER")
    desk.idp.claims["email"] = member["email"].upper()
    _, answer = await desk.signed_in()
    assert answer["userId"] == member["userId"]
    desk.idp.claims["email"] = f"{unique('new')}@example.com"
    assert (await desk.signed_in())[1]["userId"] == member["userId"]


async def test_another_subject_cannot_take_over_an_address(desk: Desk) -> None:
    await desk.configure()
    await desk.signed_in()
    desk.idp.claims["sub"] = "somebody else"
    assert (await desk.sign_in()).status == 409


@pytest.mark.parametrize("claims", [{"email": None}, {"email": "nonsense"}, {"email": 7}])
async def test_who_has_no_address_does_not_get_in(desk: Desk, claims: dict[str, Any]) -> None:
    await desk.configure()
    desk.idp.lies.claims = claims
    assert (await desk.sign_in()).status == 400


async def test_an_unverified_address_does_not_get_in(desk: Desk) -> None:
    await desk.configure()
    desk.idp.claims["email_verified"] = False
    assert (await desk.sign_in()).status == 403


async def test_several_tabs_of_one_new_person_are_all_signed_in(desk: Desk) -> None:
    await desk.configure()
    tabs = [await desk.visit((await desk.begin()).json["loginUrl"]) for _ in range(3)]
    answers = await asyncio.gather(*(desk.finish(query) for query in tabs))
    assert [answer.status for answer in answers] == [200] * 3
    assert len({answer.json["userId"] for answer in answers}) == 1


async def test_a_removed_provider_takes_its_sessions_along(desk: Desk) -> None:
    await desk.configure()
    ada, answer = await desk.signed_in()
    other = await key_of(desk.api, answer)
    assert (await desk.api.send("DELETE", desk.path)).status == 204
    await stops(ada)
    await desk.configure()
    await stops(ada)
    await other.get("/me")


async def test_another_provider_ends_the_sessions_of_the_former_one(desk: Desk) -> None:
    await desk.configure()
    ada, _ = await desk.signed_in()
    await ada.get("/me")
    async with identity_provider("RSA") as other:
        change = {"issuerUrl": other.issuer, "clientSecret": CLIENT_SECRET}
        assert (await desk.api.send("PUT", desk.path, json={"defaultRole": "MEMBER"})).status == 200
        await ada.get("/me")
        assert (await desk.api.send("PUT", desk.path, json=change)).status == 200
        await stops(ada)
        assert (await desk.api.get(desk.path)).json["issuerUrl"] == other.issuer


async def test_a_configuration_is_changed_as_it_was_read(desk: Desk) -> None:
    await desk.configure()
    tag = {"If-Match": (await desk.api.get(desk.path)).headers["ETag"]}
    change = {"defaultRole": "MEMBER"}
    assert (await desk.api.send("PUT", desk.path, json=change, headers=tag)).status == 200
    for method, body in (("PUT", change), ("DELETE", None)):
        assert (await desk.api.send(method, desk.path, json=body, headers=tag)).status == 412
    tag = {"If-Match": (await desk.api.get(desk.path)).headers["ETag"]}
    assert (await desk.api.send("DELETE", desk.path, headers=tag)).status == 204


@pytest.mark.parametrize("way", ["removed", "disabled", "deleted"])
async def test_a_leaver_does_not_come_back_by_signing_in(desk: Desk, way: str) -> None:
    await desk.configure()
    ada, answer = await desk.signed_in()
    user = f"/users/{answer['userId']}"
    if way == "removed":
        path = f"/organisations/{desk.api.tenant.org_slug}/members/{answer['userId']}"
        assert (await desk.api.send("DELETE", path)).status == 204
    elif way == "disabled":
        assert (await desk.api.send("PUT", user, json={"isActive": False})).status == 200
    else:
        assert (await desk.api.send("DELETE", user)).status == 204
    await stops(ada)
    assert (await desk.sign_in()).status == 403
    await let_in_again(desk, answer, way)
    _, again = await desk.signed_in()
    assert (again["userId"] == answer["userId"]) is (way != "deleted")


async def let_in_again(desk: Desk, gone: Any, way: str) -> None:
    """As an administrator who changed their mind."""
    if way == "disabled":
        await desk.api.send("PUT", f"/users/{gone['userId']}", json={"isActive": True})
        return
    if way == "deleted":
        await desk.api.post("/users", {"email": gone["email"], "name": "Ada"})
    await desk.api.post(
        f"/organisations/{desk.api.tenant.org_slug}/members", {"email": gone["email"], "role": "VIEWER"}
    )


async def test_a_user_who_was_deleted_before_the_first_sign_in_does_not_come_back_either(desk: Desk) -> None:
    await desk.configure()
    member = await make_member(desk.api, "MEMBER")
    assert (await desk.api.send("DELETE", f"/users/{member['userId']}")).status == 204
    desk.idp.claims["email"] = member["email"]
    assert (await desk.sign_in()).status == 403


async def test_a_state_is_used_once_and_in_its_organisation(
    desk: Desk, server: TestClient[Any, Any], reaching: Services
) -> None:
    await desk.configure()
    other = Desk(await found_organisation(server, reaching), desk.idp)
    await other.configure()
    query = await desk.visit((await desk.begin()).json["loginUrl"])
    assert (await other.finish(query)).status == 400
    assert (await desk.finish(query)).status == 400, "the state is spent"
    query = await desk.visit((await desk.begin()).json["loginUrl"])
    assert (await desk.finish(query)).status == 200
    assert (await desk.finish(query)).status == 400
    assert (await desk.finish(query | {"state": "invented"})).fields == ["state"]
    assert (await desk.finish({"state": query["state"]})).fields == ["code"]


async def test_only_the_browser_that_began_gets_the_cookie(desk: Desk) -> None:
    await desk.configure()
    began = await desk.begin()
    cookie = began.headers["Set-Cookie"].partition(";")[0]
    query = await desk.visit(began.json["loginUrl"])
    mine = await desk.finish(query, Cookie=cookie)
    assert mine.headers["Set-Cookie"].startswith("trailgate_session=tgs_")
    query = await desk.visit((await desk.begin()).json["loginUrl"])
    theirs = await desk.finish(query, Cookie=cookie)
    assert (theirs.status, "Set-Cookie" in theirs.headers) == (200, False)


@pytest.mark.parametrize(
    "page", ["https://evil.example.com/callback", f"{PAGE}/more", PAGE.upper(), "javascript:alert(1)", ""]
)
async def test_only_pages_of_the_configuration_are_returned_to(desk: Desk, page: str) -> None:
    await desk.configure()
    assert (await desk.begin(400, page)).fields == ["redirectUri"]


async def test_without_a_list_only_pages_of_this_server_are_returned_to(desk: Desk, reaching: Services) -> None:
    await desk.configure(redirectUris=[])
    await desk.begin(400)
    await desk.begin(200, f"{reaching.settings.address}/ui/signed-in")


@pytest.mark.parametrize(
    ("lie", "status"),
    [
        ({"claims": {"nonce": "another"}}, 401),
        ({"claims": {"aud": "somebody else"}}, 401),
        ({"claims": {"iss": "https://evil.example.com"}}, 401),
        ({"claims": {"exp": 1}}, 401),
        ({"claims": {"azp": "somebody else"}}, 401),
        ({"unsigned": True}, 401),
        ({"signed_with_public_key": True}, 401),
        ({"header": {"kid": "unknown"}}, 401),
        ({"answers": {"token": "html"}}, 502),
        ({"answers": {"token": "redirect"}}, 502),
        ({"answers": {"jwks": "html"}}, 502),
        ({"token_error": "invalid_grant"}, 502),
    ],
)
async def test_a_lie_of_the_provider_lets_nobody_in(desk: Desk, lie: dict[str, Any], status: int) -> None:
    await desk.configure()
    query = await desk.visit((await desk.begin()).json["loginUrl"])
    for name, value in lie.items():
        setattr(desk.idp.lies, name, value)
    refused = await desk.finish(query)
    assert refused.status == status, refused.text
    users = (await desk.api.get("/users")).json
    assert desk.idp.claims["email"] not in [one["email"] for one in users]


async def test_the_provider_is_tested(desk: Desk) -> None:
    await desk.configure()
    found = (await desk.api.post(f"{desk.path}/test", status=200)).json
    assert found["success"] is True
    assert found["tokenEndpoint"].startswith(desk.idp.issuer)
    desk.idp.lies.answers = {"openid-configuration": "html"}
    lost = (await desk.api.post(f"{desk.path}/test", status=200)).json
    assert (lost["success"], lost["authorizationEndpoint"], lost["tokenEndpoint"]) == (False, None, None)
    assert lost["message"]


async def test_many_tests_at_once_ask_the_provider_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow one would otherwise keep a connection for each."""
    monkeypatch.setattr(answers, "TIMEOUT", aiohttp.ClientTimeout(total=1))
    await desk.configure()
    before = desk.idp.seen["openid-configuration"]
    desk.idp.lies.answers = {"openid-configuration": "slow"}
    found = await asyncio.gather(*(desk.api.post(f"{desk.path}/test", status=200) for _ in range(5)))
    assert {one.json["success"] for one in found} == {False}
    assert desk.idp.seen["openid-configuration"] == before + 1
    desk.idp.lies.answers = {}
    assert (await desk.api.post(f"{desk.path}/test", status=200)).json["success"]


async def break_glass(desk: Desk, admin: Any) -> Caller:
    body = {"ownerId": admin["userId"], "ownerType": "USER", "label": "safe", "breakGlass": True}
    return replace(desk.api, key=(await desk.api.post("/api-keys", body)).json["plainTextKey"])


async def test_mandatory_sign_on_stops_peoples_keys_but_not_break_glass_nor_programs(desk: Desk) -> None:
    await desk.configure()
    admin = await make_member(desk.api, "ADMIN")
    person = await key_of(desk.api, admin)
    session = replace(person, key=(await person.post("/sessions")).json["token"])
    refused = await desk.api.send("PUT", desk.path, json={"isMandatory": True})
    assert refused.status == 409
    safe = await break_glass(desk, admin)
    ada, _ = await desk.signed_in()
    assert (await desk.api.send("PUT", desk.path, json={"isMandatory": True})).status == 200
    await stops(person)
    await stops(session)
    for works in (safe, ada, desk.api):  # the last one is a service account
        await works.get("/me")
    assert (await safe.send("DELETE", desk.path)).status == 204
    await person.get("/me")


async def test_break_glass_keys_are_for_administrators(desk: Desk) -> None:
    member = await make_member(desk.api, "MEMBER")
    body = {"ownerId": member["userId"], "ownerType": "USER", "label": "safe", "breakGlass": True}
    await desk.api.post("/api-keys", body, 403)
    await (await key_of(desk.api, member)).post("/api-keys", body, 403)
    admin = await make_member(desk.api, "ADMIN")
    narrow = body | {"ownerId": admin["userId"], "permissions": ["facts:read"]}
    assert (await desk.api.post("/api-keys", narrow, 400)).fields == ["breakGlass"]


async def test_a_break_glass_key_ends_with_the_role(desk: Desk) -> None:
    await desk.configure()
    keeper, admin = await make_member(desk.api, "ADMIN"), await make_member(desk.api, "ADMIN")
    await break_glass(desk, keeper)
    safe = await break_glass(desk, admin)
    await desk.api.send("PUT", desk.path, json={"isMandatory": True})
    await safe.get("/me")
    path = f"/organisations/{desk.api.tenant.org_slug}/members/{admin['userId']}"
    await desk.api.send("PUT", path, json={"role": "MEMBER"})
    await stops(safe)


async def test_the_last_break_glass_key_stays_while_sign_on_is_mandatory(desk: Desk) -> None:
    await desk.configure()
    first, last = [await break_glass(desk, await make_member(desk.api, "ADMIN")) for _ in range(2)]
    await desk.api.send("PUT", desk.path, json={"isMandatory": True})
    mine = [(await key.get("/me")).json["credentialId"] for key in (first, last)]
    revoke = [f"/api-keys/{key_id}/revoke" for key_id in mine]
    answers = await asyncio.gather(*(desk.api.send("DELETE", path) for path in revoke))
    assert sorted(answer.status for answer in answers) == [204, 409]
    [kept] = [path for path, answer in zip(revoke, answers, strict=True) if answer.status == 409]
    await desk.api.send("PUT", desk.path, json={"isMandatory": False})
    assert (await desk.api.send("DELETE", kept)).status == 204


async def test_who_cannot_make_an_administrator_does_not_choose_the_provider(desk: Desk) -> None:
    narrow = await key_of(desk.api, await make_member(desk.api, "ADMIN"), permissions=["identity:manage"])
    body = {"provider": "OIDC", "issuerUrl": desk.idp.issuer, "clientId": CLIENT_ID}
    await narrow.post(desk.path, body, 403)
    await desk.configure()
    assert (await narrow.send("PUT", desk.path, json={"defaultRole": "ADMIN"})).status == 403


async def test_the_secret_of_one_provider_is_not_sent_to_another(desk: Desk) -> None:
    await desk.configure()
    elsewhere = {"issuerUrl": "https://evil.example.com"}
    assert (await desk.api.send("PUT", desk.path, json=elsewhere)).fields == ["clientSecret"]
    query = await desk.visit((await desk.begin()).json["loginUrl"])
    assert (await desk.api.send("PUT", desk.path, json=elsewhere | {"clientSecret": "new"})).status == 200
    assert (await desk.finish(query)).fields == ["state"]


async def test_a_provider_speaks_for_no_user_of_another_organisation(
    desk: Desk, server: TestClient[Any, Any], reaching: Services
) -> None:
    await desk.configure()
    theirs = await make_member(await found_organisation(server, reaching), "ADMIN")
    desk.idp.claims["email"] = theirs["email"]
    assert (await desk.sign_in()).status == 409
    body = {"email": theirs["email"], "role": "VIEWER"}
    await desk.api.post(f"/organisations/{desk.api.tenant.org_slug}/members", body)
    assert (await desk.signed_in())[1]["userId"] == theirs["userId"]


@pytest.mark.parametrize(
    "claims",
    [
        {"email_verified": "no"},
        {"email_verified": 0},
        {"email": "\u212aate@example.com"},
        {"email": "\uff41da@example.com"},
        {"_claim_names": {"groups": "src1"}, "groups": None},
    ],
)
async def test_doubtful_claims_let_nobody_in(desk: Desk, claims: dict[str, Any]) -> None:
    await desk.configure(groupRoleMappings='{"Leads": "MEMBER"}')
    desk.idp.lies.claims = claims
    assert (await desk.sign_in()).status == 403


async def test_only_the_mapped_claim_gives_roles_and_odd_ones_give_none(desk: Desk) -> None:
    mapped = {"attributeMappings": '{"role": "app_roles"}', "groupRoleMappings": '{"Admins": "ADMIN"}'}
    await desk.configure(**mapped)
    desk.idp.claims |= {"groups": ["Admins"], "_claim_names": 7}
    _, answer = await desk.signed_in()
    assert await desk.role_of(answer["userId"]) == "VIEWER"


async def test_sign_ins_are_limited_by_address_and_organisation_together_in_all_processes(
    installation: Installation, tmp_path: Path, reaching: Services, server: TestClient[Any, Any], desk: Desk
) -> None:
    await desk.configure()
    limits = {"rate_sign_ins_per_address": 1000, "rate_sign_ins_per_organisation": 3}
    settings = installation.settings(tmp_path, outbound_allow="127.0.0.0/8", **limits)
    found: list[Answer] = []
    for _ in range(2):
        async with (
            open_services(settings, "test limits") as opened,
            TestClient(TestServer(build_app(opened))) as client,
        ):
            limited = replace(desk, api=replace(desk.api, client=client))
            found += [await limited.begin(status) for status in ((200, 200) if not found else (200, 429))]
    assert found[-1].json["limit"] == "sign_ins_per_organisation"
    assert 1 <= int(found[-1].headers["Retry-After"]) <= 60
