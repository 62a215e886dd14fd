"""What people and auditors are told of approvals, and who acts where nobody has to say who they are."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import DummyCookieJar
from aiohttp.test_utils import TestClient

from api.app import build_app
from domain.notifications.triggers import Trigger
from storage.services import open_services
from tests.api.caller import Caller
from tests.api.environments.reporting import events, make_environment
from tests.api.gates.people import request, requested, somebody, trail_of
from tests.api.limited import LimitedTestServer
from tests.conftest import Installation

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def listening(api: Caller, **filters: Any) -> None:
    """Rules for whatever approvals raise."""
    for trigger in (Trigger.APPROVAL_REQUIRED, Trigger.APPROVAL_REJECTED, Trigger.BREAK_GLASS_USED):
        await api.make_rule("IN_APP", triggerEvent=trigger, **filters)


async def told(api: Caller) -> list[tuple[str, str]]:
    """The triggers and severities of the messages, in order."""
    found = (await api.get("/deliveries?size=100")).json
    payloads = [json.loads(one["payload"]) for one in sorted(found, key=lambda one: one["createdAt"])]
    return [(one["triggerEvent"], one["title"]) for one in payloads]


async def test_whoever_listens_is_told(api: Caller) -> None:
    trail = await trail_of(api, name="shop")
    await listening(api)
    ada, admin = await somebody(api), await somebody(api, "admin")
    one, other = await requested(api, trail), await requested(api, trail, requiredApprovers=[ada.email])
    await ada.reject(one, comments="not today")
    await admin.break_glass(other)
    assert await told(api) == [
        ("APPROVAL_REQUIRED", "An approval of shop is waiting"),
        ("APPROVAL_REQUIRED", "An approval of shop is waiting"),
        ("APPROVAL_REJECTED", "An approval of shop was rejected"),
        ("BREAK_GLASS_USED", "Break glass: an approval of shop was overridden"),
    ]


async def test_a_rule_may_listen_to_one_environment_alone(api: Caller) -> None:
    trail, production = await trail_of(api), await make_environment(api)
    await listening(api, filterEnvironmentId=production)
    await requested(api, trail)
    assert await told(api) == []
    await requested(api, trail, environmentId=production)
    assert [trigger for trigger, _ in await told(api)] == ["APPROVAL_REQUIRED"]


async def test_every_step_is_audited_with_who_took_it(api: Caller) -> None:
    trail, admin = await trail_of(api), await somebody(api, "admin")
    requester, ada = await somebody(api), await somebody(api)
    one = await requested(requester.caller, trail, minimumApprovals=2)
    await ada.approve(one, approverIdentity="somebody else")
    await admin.break_glass(one)
    names = ("APPROVAL_REQUESTED", "APPROVAL_GRANTED", "APPROVAL_OVERRIDDEN", "APPROVAL_RESOLVED")
    found = await events(api, *names)
    assert [(one["eventType"], one["actorId"]) for one in found if one["eventType"] != "APPROVAL_RESOLVED"] == [
        ("APPROVAL_REQUESTED", str(requester.id)),
        ("APPROVAL_GRANTED", str(ada.id)),
        ("APPROVAL_OVERRIDDEN", str(admin.id)),
    ]
    assert {event["trailId"] for event in found} == {trail}
    payloads = [(event["eventType"], json.loads(event["payload"])) for event in found]
    assert {payload["approvalId"] for _, payload in payloads} == {one}
    assert [payload["status"] for name, payload in payloads if name == "APPROVAL_RESOLVED"] == ["APPROVED"]


async def test_a_refused_decision_leaves_no_trace_but_the_denial(api: Caller) -> None:
    trail, ada = await trail_of(api), await somebody(api)
    approval = await requested(ada.caller, trail)
    await ada.approve(approval, 403)
    assert await events(api, "APPROVAL_GRANTED", "APPROVAL_RESOLVED") == []
    assert (await api.get(f"/approvals/{approval}")).json["decisions"] == []


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def anybody(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    """Without a key, where authentication is off."""
    settings = installation.settings(tmp_path_factory.mktemp("off"), auth="off")
    async with (
        open_services(settings, "test approvals") as services,
        TestClient(LimitedTestServer(build_app(services)), cookie_jar=DummyCookieJar()) as client,
    ):
        yield Caller(client, None)


async def test_without_authentication_the_body_says_who_acts(anybody: Caller) -> None:
    trail = await trail_of(anybody)
    approval = (await request(anybody, trail, requestedBy="Eve", requiredApprovers=["Ada", "bob"]))["id"]
    path = f"/approvals/{approval}"
    for name, status in (("Eve", 403), ("mallory", 403), ("ada", 200), ("ADA", 409), ("Bob", 200), ("Bob", 409)):
        await anybody.post(f"{path}/approve", {"approverIdentity": name}, status)
    found = (await anybody.get(path)).json
    assert (found["status"], found["requestedBy"]) == ("APPROVED", "Eve")
    assert [one["approverIdentity"] for one in found["decisions"]] == ["ada", "Bob"]
    assert await anybody.status_of(trail) == "COMPLIANT"


async def test_without_authentication_the_requester_and_the_author_do_not_decide(anybody: Caller) -> None:
    approval = (await request(anybody, await trail_of(anybody), requestedBy="Eve"))["id"]
    for name in ("eve", "Ada Lovelace", "ADA@example.com"):  # the author of the commit
        await anybody.post(f"/approvals/{approval}/approve", {"approvedBy": name}, 403)
    await anybody.post(f"/approvals/{approval}/reject", {"rejectedBy": "Bob"}, 200)
