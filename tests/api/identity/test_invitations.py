"""Invitations on the wire: who may send them, what a link is worth, and when it stops working."""

import asyncio
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from domain.errors import Denial
from domain.identity.invitations import PAGE
from storage.services import Services
from tests.api.caller import Answer, Caller, found_organisation, unique
from tests.api.identity.test_denials import counted
from tests.api.identity.test_limits import assert_due_to, limit
from tests.api.identity.test_members import email, key_of, make_member
from tests.api.times import assert_times

pytestmark = pytest.mark.asyncio(loop_scope="session")

INVITATIONS = "/invitations"


async def invite(api: Caller, status: int = 201, **fields: Any) -> Any:
    """An invitation whose link is shown."""
    body = {"email": email(), "role": "MEMBER", "sendEmail": False, **fields}
    return (await api.post(INVITATIONS, body, status)).json


def token_in(link: str) -> str:
    return link.partition("#")[2]


async def accept(api: Caller, invitation: Any, status: int = 200, **fields: Any) -> Answer:
    body = {"token": token_in(invitation["link"]), **fields}
    return await replace(api, key=None).post(f"{INVITATIONS}/accept", body, status)


async def events(api: Caller, invitation: Any) -> list[Any]:
    found = (await api.get("/audit?size=100&sortDesc=false")).json["events"]
    return [one for one in found if one["recordId"] == invitation["id"]]


async def test_a_shown_link_makes_a_member_and_no_session(api: Caller, app_services: Services) -> None:
    address = email()
    made = await invite(api, email=f"{address.upper()}", name="Ada Lovelace", role="AUDITOR")
    assert made["link"].startswith(f"{app_services.settings.address}{PAGE}#tgi_")
    assert len(token_in(made["link"])) == 68
    me = (await api.get("/me")).json["id"]
    assert made == {
        "id": made["id"],
        "email": address,
        "name": "Ada Lovelace",
        "role": "AUDITOR",
        "status": "OPEN",
        "sentByEmail": False,
        "invitedBy": me,
        "version": 1,
        "createdAt": made["createdAt"],
        "updatedAt": made["createdAt"],
        "expiresAt": made["expiresAt"],
        "acceptedAt": None,
        "acceptedBy": None,
        "revokedAt": None,
        "link": made["link"],
    }
    assert_times(made, "createdAt", "expiresAt")
    lifetime = datetime.fromisoformat(made["expiresAt"]) - datetime.fromisoformat(made["createdAt"])
    assert lifetime == timedelta(days=7)
    answer = await accept(api, made)
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json == {
        "organisation": api.tenant.org_slug,
        "organisationId": str(api.tenant.org_id),
        "userId": answer.json["userId"],
        "email": address,
        "name": "Ada Lovelace",
        "role": "AUDITOR",
        "isSignedIn": False,
        "howToSignIn": f"Ask an administrator of {api.tenant.org_slug} for an API key.",
    }
    path = f"/organisations/{api.tenant.org_slug}/members/{answer.json['userId']}"
    assert (await api.get(path)).json["role"] == "AUDITOR"
    assert (await api.get(f"/users/{answer.json['userId']}")).json["email"] == address


async def test_the_link_is_shown_once_and_an_answer_removes_address_and_name(api: Caller) -> None:
    made = await invite(api, name="Ada")
    shown = (await api.get(f"{INVITATIONS}/{made['id']}")).json
    assert shown == {name: value for name, value in made.items() if name != "link"}
    assert (await api.get(INVITATIONS)).json == [shown]
    user = (await accept(api, made)).json["userId"]
    accepted = (await api.get(f"{INVITATIONS}/{made['id']}")).json
    assert accepted == {
        **shown,
        "email": None,
        "name": None,
        "status": "ACCEPTED",
        "version": 2,
        "updatedAt": accepted["acceptedAt"],
        "acceptedAt": accepted["acceptedAt"],
        "acceptedBy": user,
    }


async def test_every_step_is_audited_and_the_person_accepts(api: Caller) -> None:
    made = await invite(api)
    again = (await api.post(f"{INVITATIONS}/{made['id']}/resend", {"sendEmail": False}, 200)).json
    user = (await accept(api, again)).json["userId"]
    revoked = await invite(api)
    await api.send("DELETE", f"{INVITATIONS}/{revoked['id']}")
    me = (await api.get("/me")).json["id"]
    told = [(one["eventType"], one["actorId"]) for one in await events(api, made)]
    assert told == [("INVITATION_CREATED", me), ("INVITATION_RESENT", me), ("INVITATION_ACCEPTED", user)]
    assert {one["subjectId"] for one in await events(api, made)} == {user}, "whom it concerned, since it is known"
    assert [one["eventType"] for one in await events(api, revoked)] == ["INVITATION_CREATED", "INVITATION_REVOKED"]
    of_the_user = (await api.get(f"/audit?actorId={user}&sortDesc=false")).json["events"]
    names = [one["eventType"] for one in of_the_user]
    assert names == ["PRINCIPAL_CREATED", "INVITATION_ACCEPTED", "MEMBERSHIP_CREATED"]
    payloads = [one["payload"] for one in [*await events(api, made), *await events(api, revoked), *of_the_user]]
    assert [text for text in payloads if made["email"] in text or token_in(made["link"]) in text] == []


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"email": "nobody"}, "email"),
        ({"email": "ada@example.com\r\nBcc: eve@example.com"}, "email"),
        ({"email": f"{'a' * 300}@example.com"}, "email"),
        ({"email": "Ada <ada@example.com>"}, "email"),
        ({"email": None}, "email"),
        ({"role": "OWNER"}, "role"),
        ({"role": None}, "role"),
        ({"name": " "}, "name"),
        ({"name": "x" * 300}, "name"),
        ({"ttlDays": 0}, "ttlDays"),
        ({"ttlDays": 8}, "ttlDays"),
        ({"ttlDays": "7"}, "ttlDays"),
        ({"sendEmail": "yes"}, "sendEmail"),
        ({"email": "\N{CYRILLIC SMALL LETTER A}da@example.com", "sendEmail": True}, "email"),
    ],
)
async def test_a_bad_invitation_is_400(api: Caller, fields: Any, named: str) -> None:
    body = {"email": "ada@example.com", "role": "MEMBER", "sendEmail": False, **fields}
    assert (await api.post(INVITATIONS, body, 400)).fields == [named]
    assert (await api.get(INVITATIONS)).json == []


async def test_an_address_that_looks_like_another_is_another_person(api: Caller) -> None:
    member = await make_member(api)
    alike = await invite(api, email="\N{CYRILLIC SMALL LETTER A}" + member["email"][1:])
    assert (await accept(api, alike)).json["userId"] != member["userId"]


async def test_nobody_invites_with_more_than_they_hold(api: Caller) -> None:
    admin = await make_member(api, "ADMIN")
    narrow = await key_of(api, admin, permissions=["identity:manage", "identity:read"])
    refused = await invite(narrow, 403, role="ADMIN")
    assert "your credential cannot" in refused["message"]
    made = await invite(api, role="ADMIN")
    await narrow.post(f"{INVITATIONS}/{made['id']}/resend", {"sendEmail": False}, 403)
    denied = (await api.get("/audit?size=100&eventType=ACCESS_DENIED")).json["events"]
    operations = {json.loads(one["payload"])["operation"] for one in denied}
    assert operations == {"create_invitation", "resend_invitation"}
    await (await key_of(api, await make_member(api, "MEMBER"))).post(INVITATIONS, {}, 403)
    await accept(api, made)


async def test_a_second_invitation_of_an_address_names_the_first(api: Caller) -> None:
    made = await invite(api)
    refused = await invite(api, 409, email=made["email"].upper())
    assert made["id"] in refused["message"]
    await api.send("DELETE", f"{INVITATIONS}/{made['id']}")
    await invite(api, email=made["email"])


async def test_many_invitations_of_an_address_at_once_are_one(api: Caller) -> None:
    body = {"email": email(), "role": "MEMBER", "sendEmail": False}
    sent = await asyncio.gather(*(api.send("POST", INVITATIONS, json=body) for _ in range(4)))
    assert sorted(answer.status for answer in sent) == [201, 409, 409, 409]


async def test_a_repeated_request_with_its_key_gets_the_same_link(api: Caller) -> None:
    body = {"email": email(), "role": "MEMBER", "sendEmail": False}
    key = {"Idempotency-Key": unique("invite")}
    first, second = [await api.post(INVITATIONS, body, headers=key) for _ in range(2)]
    assert first.json == second.json
    assert len((await api.get(INVITATIONS)).json) == 1
    await accept(api, first.json)


async def test_a_dry_run_invites_and_accepts_nobody(api: Caller) -> None:
    dry: dict[str, Any] = {"headers": {"X-Dry-Run": "true"}}
    body = {"email": email(), "role": "MEMBER", "sendEmail": False}
    would = (await api.post(INVITATIONS, body, 200, **dry)).json["wouldCreate"]
    assert (would["status"], would["link"]) == ("OPEN", None)
    made = await invite(api)
    would = (await api.post(f"{INVITATIONS}/{made['id']}/resend", {"sendEmail": False}, 200, **dry)).json["wouldCreate"]
    assert (would["version"], would["link"]) == (2, None)  # it would be the link of the next issue
    preview = await replace(api, key=None).post(f"{INVITATIONS}/accept", {"token": token_in(made["link"])}, 200, **dry)
    assert preview.json["wouldCreate"]["organisation"] == api.tenant.org_slug
    await accept(api, made)


async def test_a_token_works_once_even_when_used_twice_at_the_same_time(api: Caller) -> None:
    made = await invite(api)
    body, nobody = {"token": token_in(made["link"])}, replace(api, key=None)
    sent = await asyncio.gather(*(nobody.send("POST", f"{INVITATIONS}/accept", json=body) for _ in range(4)))
    assert sorted(answer.status for answer in sent) == [200, 404, 404, 404]
    assert len((await api.get(f"/organisations/{api.tenant.org_slug}/members")).json) == 1


async def test_whatever_is_wrong_with_a_token_the_answer_is_the_same(api: Caller, app_services: Services) -> None:
    used, revoked, expired, replaced = [await invite(api) for _ in range(4)]
    await accept(api, used)
    await api.send("DELETE", f"{INVITATIONS}/{revoked['id']}")
    await expire(app_services, expired)
    await api.post(f"{INVITATIONS}/{replaced['id']}/resend", {"sendEmail": False}, 200)
    unknown, before = {"link": "#tgi_" + "0" * 64}, counted(404, Denial.INVALID_CREDENTIAL)
    messages = {(await accept(api, one, 404)).json["message"] for one in (used, revoked, expired, replaced, unknown)}
    assert len(messages) == 1
    assert counted(404, Denial.INVALID_CREDENTIAL) == before + 5
    for token in ("", "x" * 513, None, 7):
        refused = await replace(api, key=None).post(f"{INVITATIONS}/accept", {"token": token}, 400)
        assert refused.fields == ["token"]


async def expire(services: Services, invitation: Any) -> None:
    async with services.database.transaction() as tx:
        await tx.execute("UPDATE invitations SET expires_at = $2 WHERE id = $1", invitation["id"], tx.now)


async def test_resending_replaces_the_link_and_starts_the_validity_anew(api: Caller, app_services: Services) -> None:
    made = await invite(api, ttlDays=1)
    await expire(app_services, made)
    assert (await api.get(f"{INVITATIONS}/{made['id']}")).json["status"] == "EXPIRED"
    again = (await api.post(f"{INVITATIONS}/{made['id']}/resend", {"sendEmail": False}, 200)).json
    assert (again["id"], again["status"], again["version"]) == (made["id"], "OPEN", 2)
    assert again["link"] != made["link"]
    lifetime = datetime.fromisoformat(again["expiresAt"]) - datetime.fromisoformat(again["updatedAt"])
    assert lifetime == timedelta(days=7)
    await accept(api, made, 404)
    await accept(api, again)
    await api.post(f"{INVITATIONS}/{made['id']}/resend", None, 409)
    assert (await api.send("DELETE", f"{INVITATIONS}/{made['id']}")).status == 409


async def test_an_expired_invitation_makes_way_for_another(api: Caller, app_services: Services) -> None:
    first = await invite(api)
    await expire(app_services, first)
    second = await invite(api, email=first["email"])
    assert (await api.get(f"{INVITATIONS}/{first['id']}")).json["status"] == "REVOKED"
    await accept(api, second)


async def test_a_revoked_invitation_stays_revoked(api: Caller) -> None:
    made = await invite(api, name="Ada")
    path = f"{INVITATIONS}/{made['id']}"
    assert [(await api.send("DELETE", path)).status for _ in range(2)] == [204, 204]
    shown = (await api.get(path)).json
    assert (shown["status"], shown["email"], shown["name"], shown["version"]) == ("REVOKED", None, None, 2)
    await api.post(f"{path}/resend", None, 409)


async def test_the_list_is_filtered_by_what_has_become_of_them(api: Caller, app_services: Services) -> None:
    accepted, revoked, expired, opened = [await invite(api) for _ in range(4)]
    await accept(api, accepted)
    await api.send("DELETE", f"{INVITATIONS}/{revoked['id']}")
    await expire(app_services, expired)
    wanted = {"accepted": accepted, "REVOKED": revoked, "Expired": expired, "open": opened}
    for status, one in wanted.items():
        answer = await api.get(f"{INVITATIONS}?status={status}")
        assert [found["id"] for found in answer.json] == [one["id"]]
        assert answer.json[0]["status"] == status.upper()
        assert answer.headers["X-Total-Count"] == "1"
    assert [found["id"] for found in (await api.get(INVITATIONS)).json] == [
        one["id"] for one in (accepted, revoked, expired, opened)
    ]
    await api.get(f"{INVITATIONS}?status=lost", 400)


async def test_another_organisation_sees_and_changes_nothing(
    http: TestClient[Any, Any], app_services: Services, api: Caller
) -> None:
    stranger, made = await found_organisation(http, app_services), await invite(api)
    path = f"{INVITATIONS}/{made['id']}"
    for method, url in (("GET", path), ("DELETE", path), ("POST", f"{path}/resend")):
        assert (await stranger.send(method, url)).status == 404
    assert (await stranger.get(INVITATIONS)).json == []
    await invite(stranger, email=made["email"])
    await accept(api, made)


async def test_a_member_is_not_invited(api: Caller) -> None:
    member = await make_member(api, "VIEWER")
    assert "member already" in (await invite(api, 409, email=member["email"], role="ADMIN"))["message"]


async def test_a_user_of_another_organisation_joins_with_the_account_that_there_is(
    http: TestClient[Any, Any], app_services: Services, api: Caller
) -> None:
    stranger = await found_organisation(http, app_services)
    member = await make_member(stranger, "ADMIN")
    answer = await accept(api, await invite(api, email=member["email"], role="VIEWER", name="Eve"), name="Mallory")
    assert (answer.json["userId"], answer.json["name"]) == (member["userId"], "Ada")
    assert "Set-Cookie" not in answer.headers
    path = f"/organisations/{stranger.tenant.org_slug}/members/{member['userId']}"
    assert (await stranger.get(path)).json["role"] == "ADMIN"


async def test_whoever_accepts_two_invitations_at_once_has_one_account(api: Caller, app_services: Services) -> None:
    address, other = email(), await found_organisation(api.client, app_services)
    made = [await invite(one, email=address) for one in (api, other)]
    accepted = await asyncio.gather(*(accept(api, one) for one in made))
    assert len({answer.json["userId"] for answer in accepted}) == 1


async def test_a_disabled_account_does_not_join(api: Caller) -> None:
    user = (await api.post("/users", {"email": email(), "name": "Ada"})).json
    await api.send("PUT", f"/users/{user['id']}", json={"isActive": False})
    made = await invite(api, email=user["email"])
    assert "disabled" in (await accept(api, made, 409)).json["message"]
    await api.send("PUT", f"/users/{user['id']}", json={"isActive": True})
    await accept(api, made)


async def test_a_name_comes_from_the_person_else_the_invitation_else_the_address(api: Caller) -> None:
    for given, own, name in (("Ada", "Ada King", "Ada King"), ("Ada", None, "Ada"), (None, None, None)):
        made = await invite(api, name=given)
        assert (await accept(api, made, name=own)).json["name"] == (name or made["email"])


async def add(api: Caller, made: Any) -> None:
    user = (await api.post("/users", {"email": made["email"], "name": "Ada"})).json
    members = f"/organisations/{api.tenant.org_slug}/members"
    await api.post(members, {"userId": user["id"], "role": "VIEWER"})


async def add_and_remove(api: Caller, made: Any) -> None:
    await add(api, made)
    members = f"/organisations/{api.tenant.org_slug}/members"
    [member] = (await api.get(members)).json
    assert (await api.send("DELETE", f"{members}/{member['userId']}")).status == 204


async def delete_user(api: Caller, made: Any) -> None:
    user = (await api.post("/users", {"email": made["email"], "name": "Ada"})).json
    assert (await api.send("DELETE", f"/users/{user['id']}")).status == 204


async def erase_deleted_user(api: Caller, made: Any) -> None:
    """Who was deleted, and invited again under the same address."""
    await api.send("DELETE", f"{INVITATIONS}/{made['id']}")
    user = (await api.post("/users", {"email": made["email"], "name": "Ada"})).json
    await api.send("DELETE", f"/users/{user['id']}")
    made |= await invite(api, email=made["email"])
    assert (await api.send("DELETE", f"/users/{user['id']}/personal-data")).status == 204


@pytest.mark.parametrize("change", [add, add_and_remove, delete_user, erase_deleted_user])
async def test_an_invitation_ends_with_what_happens_to_the_person(api: Caller, change: Any) -> None:
    made = await invite(api)
    await change(api, made)
    await accept(api, made, 404)
    shown = (await api.get(f"{INVITATIONS}/{made['id']}")).json
    assert (shown["status"], shown["email"]) == ("REVOKED", None)


async def test_what_a_leaver_sent_stays_valid(api: Caller) -> None:
    admin = await make_member(api, "ADMIN")
    await make_member(api, "ADMIN")
    made = await invite(await key_of(api, admin))
    assert (await api.send("DELETE", f"/users/{admin['userId']}")).status == 204
    await accept(api, made)


async def test_an_open_invitation_keeps_the_organisation_from_being_deleted(api: Caller, admin: Caller) -> None:
    made = await invite(api)
    refused = await admin.send("DELETE", f"/organisations/{api.tenant.org_slug}")
    assert (refused.status, "1 unanswered invitations" in refused.json["message"]) == (409, True)
    await api.send("DELETE", f"{INVITATIONS}/{made['id']}")


async def test_invitations_and_mails_have_quotas(api: Caller, app_services: Services) -> None:
    await limit(api, app_services, invitations=1, invitation_mails_per_hour=1)
    made = await invite(api)
    body = {"email": email(), "role": "MEMBER", "sendEmail": False}
    assert_due_to(await api.post(INVITATIONS, body, 409), "invitations")
    await api.post(f"{INVITATIONS}/{made['id']}/resend", {"sendEmail": True}, 200)
    refused = await api.post(f"{INVITATIONS}/{made['id']}/resend", {"sendEmail": True}, 429)
    assert_due_to(refused, "invitation_mails_per_hour")
    assert 0 < int(refused.headers["Retry-After"]) <= 3600
    again = (await api.post(f"{INVITATIONS}/{made['id']}/resend", {"sendEmail": False}, 200)).json
    await accept(api, again)
    used = {one["name"]: one["used"] for one in (await api.get("/limits")).json["quotas"]}
    assert (used["invitations"], used["invitation_mails_per_hour"]) == (0, 1)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Origin": "https://evil.example.com"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
async def test_a_page_of_another_site_accepts_nothing(api: Caller, headers: dict[str, str], status: int) -> None:
    made = await invite(api)
    body = {"token": token_in(made["link"])}
    await replace(api, key=None).post(f"{INVITATIONS}/accept", body, status, headers=headers)
