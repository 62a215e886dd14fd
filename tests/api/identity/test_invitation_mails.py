"""Invitations by e-mail, from the request to the session: the API, the relay and a mail server in this process."""

import base64
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import DummyCookieJar
from aiohttp.test_utils import TestClient, TestServer

from api.app import build_app
from storage.services import Services, open_services
from tests.api.caller import NOBODY, Answer, Caller, found_organisation
from tests.api.identity.test_invitations import INVITATIONS, token_in
from tests.api.identity.test_members import email, make_member
from tests.conftest import Installation
from tests.integrations.email.test_client import Mailbox, content_of, parsed, serving
from tests.storage.outbox.letters import hasten, take
from tests.storage.world import World
from workers.relay import Relay

KEYS = [base64.b64encode(os.urandom(32)).decode() for _ in range(2)]


@dataclass
class Post:
    """An organisation, the server, and whoever gets its mails."""

    api: Caller
    services: Services
    mailbox: Mailbox

    async def invite(self, status: int = 201, **fields: Any) -> Any:
        return (await self.api.post(INVITATIONS, {"email": email(), "role": "MEMBER", **fields}, status)).json

    async def deliver(self, services: Services | None = None) -> None:
        """Let a worker send what is due."""
        async with Relay.opened(services or self.services) as relay:
            await relay(services or self.services)

    def link_to(self, address: str) -> str:
        """The link in the only mail to an address."""
        [mail] = [parsed(content_of(one)) for one in self.mailbox.taken if one.rcpt_tos == [address]]
        [link] = re.findall(r"https?://\S+", mail.get_content())
        return str(link)

    async def accept(self, link: str, status: int = 200) -> Answer:
        return await replace(self.api, key=None).post(f"{INVITATIONS}/accept", {"token": token_in(link)}, status)

    async def deliveries(self) -> list[Any]:
        return list((await self.api.get("/deliveries")).json)


@pytest.fixture
async def post(own_installation: Installation, tmp_path: Path) -> AsyncIterator[Post]:
    async with serving(Mailbox()) as mailbox:
        options = {"smtp_url": f"smtp://127.0.0.1:{mailbox.port}", "master_key": KEYS[0]}
        async with opened(own_installation, tmp_path, **options) as services, served(services) as client:
            yield Post(await found_organisation(client, services), services, mailbox)


@asynccontextmanager
async def opened(installation: Installation, folder: Path, **options: Any) -> AsyncIterator[Services]:
    settings = installation.settings(folder, public_url="https://trailgate.example.com/here", **options)
    async with open_services(settings, "test") as services:
        yield services


@asynccontextmanager
async def served(services: Services) -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(TestServer(build_app(services)), cookie_jar=DummyCookieJar()) as client:
        yield client


async def test_a_mail_proves_the_address_and_signs_the_person_in(post: Post) -> None:
    address = email()
    made = await post.invite(email=address, name="Ada\r\nBcc: eve@example.com https://evil.example.com")
    assert (made["link"], made["sentByEmail"]) == (None, True)
    await post.deliver()
    link = post.link_to(address)
    assert link.startswith("https://trailgate.example.com/here/invitations/accept#tgi_")
    answer = await post.accept(link)
    assert (answer.json["isSignedIn"], answer.json["howToSignIn"]) == (True, None)
    cookie, _, attributes = answer.headers["Set-Cookie"].partition(";")
    assert cookie.startswith("__Host-trailgate_session=tgs_")
    assert "HttpOnly" in attributes
    person = replace(post.api, key=cookie.partition("=")[2])
    me = (await person.get("/me")).json
    assert (me["email"], me["role"], me["organisation"]) == (address, "MEMBER", post.api.tenant.org_slug)
    [session] = (await person.get("/sessions")).json
    assert session["method"] == "INVITATION"
    await post.accept(link, 404)


async def test_the_mail_names_the_organisation_and_nothing_that_people_choose(post: Post) -> None:
    address = email()
    await post.invite(email=address, role="SERVICE_ACCOUNT", name="You won! https://evil.example.com")
    await post.deliver()
    [envelope] = post.mailbox.taken
    mail, slug = parsed(content_of(envelope)), post.api.tenant.org_slug
    assert envelope.rcpt_tos == [address]
    assert mail["Subject"] == f"The organisation {slug} invites you to Trailgate"
    text = mail.get_content()
    assert f"The organisation {slug} invites you to become a member, with the role REPORTER." in text
    assert "evil" not in text
    assert "Severity" not in text


async def test_neither_address_nor_token_wait_in_the_outbox(post: Post) -> None:
    made = await post.invite()
    await post.deliver()
    token = token_in(post.link_to(made["email"]))
    [delivery] = await post.deliveries()
    assert (delivery["eventType"], delivery["channel"], delivery["status"]) == ("INVITATION", "EMAIL", "SENT")
    shown = [delivery, (await post.api.get(f"/deliveries/{delivery['id']}")).json, await destinations(post)]
    async with post.services.database.read() as reader:
        rows = [await reader.rows(f"SELECT t::text FROM {name} t") for name in ("messages", "destinations", "attempts")]
    for secret in (made["email"], token):
        assert secret not in f"{shown} {rows}"


async def destinations(post: Post) -> Any:
    return (await post.api.get("/destinations")).json


async def test_an_invitation_is_sent_once_although_a_worker_died_with_it(post: Post) -> None:
    made = await post.invite()
    assert len((await take(post.services)).ids) == 1  # by a worker that dies before it sends
    await post.deliver()
    assert post.mailbox.taken == []
    async with post.services.database.transaction() as tx:
        await tx.execute("UPDATE outbox SET due_at = $1", tx.now)  # the lease is over
    await post.deliver()
    await post.deliver()
    await post.accept(post.link_to(made["email"]))


async def test_what_the_mail_server_does_not_take_yet_is_sent_later(post: Post) -> None:
    post.mailbox.data = "451 4.3.0 try later"
    made = await post.invite()
    await post.deliver()
    post.mailbox.data = "250 OK"
    await hasten(World(post.services, post.api.tenant, NOBODY))
    await post.deliver()
    await post.accept(post.link_to(made["email"]))


@pytest.mark.parametrize("way", ["resent", "revoked", "expired"])
async def test_a_link_that_does_not_work_any_more_is_not_sent(post: Post, way: str) -> None:
    made = await post.invite()
    path = f"{INVITATIONS}/{made['id']}"
    if way == "resent":
        assert (await post.api.post(f"{path}/resend", None, 200)).json["link"] is None
    elif way == "revoked":
        assert (await post.api.send("DELETE", path)).status == 204
    else:
        async with post.services.database.transaction() as tx:
            await tx.execute("UPDATE invitations SET expires_at = $1", tx.now)
    await post.deliver()
    statuses = sorted(one["status"] for one in await post.deliveries())
    if way == "resent":
        assert statuses == ["SENT", "SKIPPED"]
        await post.accept(post.link_to(made["email"]))
    else:
        assert (statuses, post.mailbox.taken) == (["SKIPPED"], [])


async def test_a_link_that_was_shown_later_never_signs_in(post: Post) -> None:
    made = await post.invite()
    await post.deliver()
    mailed = post.link_to(made["email"])
    shown = (await post.api.post(f"{INVITATIONS}/{made['id']}/resend", {"sendEmail": False}, 200)).json
    assert shown["sentByEmail"] is False
    await post.accept(mailed, 404)
    assert "Set-Cookie" not in (await post.accept(shown["link"])).headers


async def test_a_refused_address_delays_nobody_and_is_told_to_nobody(post: Post) -> None:
    bad = [email() for _ in range(6)]
    post.mailbox.recipients = {one: f"550 5.1.1 <{one}>: no such user" for one in bad}
    for one in bad:
        await post.invite(email=one)
    good = await post.invite()
    await post.deliver()
    await post.accept(post.link_to(good["email"]))
    failed = [one for one in await post.deliveries() if one["status"] == "FAILED"]
    assert len(failed) == 6
    details = [(await post.api.get(f"/deliveries/{one['id']}")).json for one in failed]
    told = f"{details} {await destinations(post)} {(await post.api.get('/notifications')).json}"
    assert "550" in told
    assert "was given up" in told
    assert [one for one in bad if one in told] == []


async def test_where_single_sign_on_is_mandatory_a_mail_does_not_sign_in(post: Post) -> None:
    slug, admin = post.api.tenant.org_slug, await make_member(post.api, "ADMIN")
    key = {"ownerId": admin["userId"], "ownerType": "USER", "label": "safe", "breakGlass": True}
    await post.api.post("/api-keys", key)
    sso = {"provider": "OIDC", "issuerUrl": "https://idp.example.com", "clientId": "c", "isMandatory": True}
    await post.api.post(f"/organisations/{slug}/sso", sso)
    made = await post.invite()
    await post.deliver()
    answer = await post.accept(post.link_to(made["email"]))
    assert "Set-Cookie" not in answer.headers
    assert answer.json["isSignedIn"] is False
    assert answer.json["howToSignIn"].startswith(f"Sign in at the identity provider of {slug}")


async def test_a_mail_that_waits_while_the_master_key_is_replaced_has_a_link_that_works(
    post: Post, own_installation: Installation, tmp_path: Path
) -> None:
    made = await post.invite()
    options = {"smtp_url": f"smtp://127.0.0.1:{post.mailbox.port}"}
    async with opened(own_installation, tmp_path, **options, master_key=f"{KEYS[1]},{KEYS[0]}") as rotating:
        await post.deliver(rotating)
    await post.accept(post.link_to(made["email"]))


async def test_a_link_whose_master_key_is_gone_is_not_made_up(post: Post) -> None:
    await post.invite()
    async with post.services.database.transaction() as tx:
        await tx.execute("UPDATE invitations SET token_sha256 = sha256('by another key')")
    await post.deliver()
    [delivery] = await post.deliveries()
    assert (delivery["status"], post.mailbox.taken) == ("FAILED", [])
    assert "send the invitation again" in delivery["error"]


async def test_a_mail_that_cannot_be_written_now_is_tried_again_and_no_fault_of_the_address(
    post: Post, own_installation: Installation, tmp_path: Path
) -> None:
    made = await post.invite()
    waiting = replace(own_installation, database_url=f"{own_installation.database_url}&lock_timeout=50")
    options = {"smtp_url": f"smtp://127.0.0.1:{post.mailbox.port}", "master_key": KEYS[0]}
    async with opened(waiting, tmp_path, **options) as services, post.services.database.transaction() as tx:
        await tx.execute("LOCK TABLE invitations")
        await post.deliver(services)
    [delivery] = await post.deliveries()
    assert (delivery["status"], delivery["attemptCount"]) == ("PENDING", 0)
    assert [one["consecutiveFailures"] for one in await destinations(post)] == [0]
    await hasten(World(post.services, post.api.tenant, NOBODY))
    await post.deliver()
    await post.accept(post.link_to(made["email"]))


async def test_a_mail_signs_an_administrator_of_another_organisation_in_here_alone(post: Post) -> None:
    other = await found_organisation(post.api.client, post.services)
    admin = await make_member(other, "ADMIN")
    await post.invite(email=admin["email"], role="VIEWER")
    await post.deliver()
    answer = await post.accept(post.link_to(admin["email"]))
    session = answer.headers["Set-Cookie"].partition(";")[0].partition("=")[2]
    person = replace(post.api, key=session)
    me = (await person.get("/me")).json
    assert (me["id"], me["role"], me["organisation"]) == (admin["userId"], "VIEWER", post.api.tenant.org_slug)
    await person.get("/flows", 404, headers={"X-Trailgate-Organisation": other.tenant.org_slug})
    await person.post("/flows", {"name": "a flow"}, 403)


async def test_without_a_mail_server_the_link_is_shown(own_installation: Installation, tmp_path: Path) -> None:
    async with opened(own_installation, tmp_path, invitation_days=2) as services, served(services) as client:
        post = Post(await found_organisation(client, services), services, Mailbox())
        refused = await post.invite(409, sendEmail=True)
        assert "TRAILGATE_SMTP_URL and TRAILGATE_SMTP_FROM" in refused["message"]
        assert "at most 2" in (await post.invite(400, ttlDays=3))["message"]
        made = await post.invite()
        lifetime = datetime.fromisoformat(made["expiresAt"]) - datetime.fromisoformat(made["createdAt"])
        assert lifetime == timedelta(days=2)
        await post.api.post(f"{INVITATIONS}/{made['id']}/resend", {"sendEmail": True}, 409)
        assert await post.deliveries() == []
        await post.accept(made["link"])
