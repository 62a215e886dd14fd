"""Outgoing deliveries and their destinations over HTTP: what is shown of them, and what an operator does about them."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from api.app import build_app
from domain.notifications.deliveries import OPEN_AFTER
from storage.schedule.wakeups import PAUSE, QUEUE
from storage.services import Services, open_services
from tests.api.caller import Answer, Caller, found_organisation
from tests.api.refusals import assert_refused
from tests.api.times import assert_times
from tests.conftest import Installation
from tests.storage.outbox.letters import hasten
from tests.storage.world import World
from tests.workers.receiver import Behave, Receiver, answering, receiving
from workers.relay import Relay

DRY = {"headers": {"X-Dry-Run": "true"}}
HIDDEN = "token=hidden"
"""The secret part of a receiver's address."""


@dataclass(frozen=True)
class Outbox:
    """An organisation whose messages leave when the test says so."""

    api: Caller
    services: Services
    relay: Relay

    async def leave(self) -> None:
        """One round of the relay: what is due is sent."""
        await self.relay(self.services)

    async def leave_hastened(self) -> None:
        """The same after the waits of retries and pauses."""
        await hasten(await World.founded(self.services))
        await self.leave()

    async def listened(self, receiver: Receiver, **fields: Any) -> Any:
        """A rule for failed attestations whose secret the receiver knows."""
        rule = await self.api.make_rule(channelConfig={"webhookUrl": receiver.url}, **fields)
        receiver.secret = rule["signingSecret"]
        return rule

    async def fail(self, number: int = 1, flow_id: str | None = None) -> str:
        """So many failed attestations on a trail of their own; the answer is its id."""
        trail = await self.api.make_trail(flow_id or (await self.api.make_flow())["id"])
        for n in range(number):
            await self.api.attest(trail["id"], "TEST", "FAILED", name=f"t{n}")
        return str(trail["id"])

    async def deliveries(self, query: str = "") -> Any:
        return (await self.api.get(f"/deliveries{query}")).json

    async def detail(self, message_id: str) -> Any:
        return (await self.api.get(f"/deliveries/{message_id}")).json

    async def dead(self, number: int = 1, status: int = 400) -> tuple[Any, list[Any]]:
        """A destination that refuses what comes of one flow, and its dead letters, newest first."""
        flow = (await self.api.make_flow())["id"]
        async with receiving(answering(status)) as receiver:
            rule = await self.listened(receiver, filterFlowId=flow)
            await self.fail(number, flow)
            await self.leave()
        found = await self.deliveries(f"?ruleId={rule['id']}")
        assert [one["status"] for one in found] == ["FAILED"] * number
        return (await self.api.get(f"/destinations/{found[0]['destinationId']}")).json, found

    async def wakes(self) -> bool:
        """Whether the relay is called, once whoever wakes it had time for that; the queue is empty afterwards."""
        await asyncio.sleep(10 * PAUSE)
        jobs = await self.services.redis.zrange(QUEUE, 0, -1)
        await self.services.redis.flushdb()
        return any(job.startswith(b"relay:") for job in jobs)


@pytest.fixture
async def outbox(own_installation: Installation, tmp_path: Path) -> AsyncIterator[Outbox]:
    reached = {"outbound_allow": "127.0.0.0/8", "outbound_timeout": 2.0, "smtp_url": "smtp://mail.example.com"}
    settings = own_installation.settings(tmp_path, **reached)
    async with (
        open_services(settings, "test api") as services,
        TestClient(TestServer(build_app(services))) as client,
        Relay.opened(services) as relay,
    ):
        await services.redis.flushdb()
        yield Outbox(await found_organisation(client, services), services, relay)


def in_turn(*statuses: int) -> Behave:
    """These answers, then thanks."""
    left = list(statuses)

    async def behave(_receiver: Receiver, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=left.pop(0)) if left else web.Response(text="thanks")

    return behave


def following(answer: Answer) -> str:
    """Where the next page is."""
    return answer.headers["Link"].partition(">")[0].removeprefix("<")


# What is shown of a message


async def test_a_message_that_was_taken_shows_what_was_sent_and_what_was_answered(outbox: Outbox) -> None:
    async with receiving() as receiver:
        rule = await outbox.listened(receiver)
        trail = await outbox.fail()
        await outbox.leave()
    [listed] = await outbox.deliveries()
    detail = await outbox.detail(receiver.taken[0])
    [attempt] = detail.pop("attempts")
    assert detail == listed
    assert listed == {
        "id": receiver.taken[0],
        "ruleId": rule["id"],
        "destinationId": listed["destinationId"],
        "channel": "WEBHOOK",
        "eventType": "ATTESTATION_FAILED",
        "payload": listed["payload"],
        "status": "SENT",
        "error": None,
        "attemptCount": 1,
        "createdAt": listed["createdAt"],
        "sentAt": listed["sentAt"],
        "nextAttemptAt": None,
    }
    payload = json.loads(listed["payload"])
    assert (payload["title"], payload["data"]["trailId"]) == ("Attestation t0 failed", trail)
    assert_times(listed, "createdAt", "sentAt")
    assert attempt == {
        "outcome": "SENT",
        "statusCode": 200,
        "error": None,
        "response": "thanks",
        "durationMs": attempt["durationMs"],
        "startedAt": attempt["startedAt"],
    }
    assert 0 <= attempt["durationMs"] < 2000


async def test_a_message_that_waits_says_until_when(outbox: Outbox) -> None:
    rule = await outbox.api.make_rule()
    await outbox.fail()
    [waiting] = await outbox.deliveries(f"?ruleId={rule['id']}")
    assert (waiting["status"], waiting["attemptCount"], waiting["sentAt"]) == ("PENDING", 0, None)
    assert waiting["nextAttemptAt"] == waiting["createdAt"]
    assert (await outbox.detail(waiting["id"]))["attempts"] == []


async def test_every_attempt_is_shown_newest_first(outbox: Outbox) -> None:
    async with receiving(in_turn(500, 429)) as receiver:
        await outbox.listened(receiver)
        await outbox.fail()
        await outbox.leave()
        [put_off] = await outbox.deliveries()
        assert (put_off["status"], put_off["error"], put_off["sentAt"]) == ("PENDING", "127.0.0.1 answered 500.", None)
        assert put_off["nextAttemptAt"] > put_off["createdAt"]
        await outbox.leave_hastened()
        await outbox.leave_hastened()
    detail = await outbox.detail(receiver.taken[0])
    attempts = [(one["outcome"], one["statusCode"], one["error"]) for one in detail["attempts"]]
    assert attempts == [
        ("SENT", 200, None),
        ("THROTTLED", 429, "127.0.0.1 answered 429."),
        ("TRANSIENT", 500, "127.0.0.1 answered 500."),
    ]
    started = [one["startedAt"] for one in detail["attempts"]]
    assert started == sorted(started, reverse=True)
    assert (detail["status"], detail["attemptCount"], detail["error"]) == ("SENT", 3, None)
    assert receiver.asked == receiver.taken * 3


async def test_no_answer_shows_a_secret(outbox: Outbox) -> None:
    destination, [dead] = await outbox.dead()
    assert destination["label"].startswith("http://127.0.0.1:")
    paths = ("/deliveries", f"/deliveries/{dead['id']}", "/destinations", f"/destinations/{destination['id']}")
    answers = [await outbox.api.get(path) for path in paths]
    assert not [one.text for one in answers if HIDDEN in one.text or "whsec_" in one.text]


# Lists


async def test_messages_are_filtered_newest_first(outbox: Outbox) -> None:
    """Of two rules: one whose message died and that was deleted before it had another, and one that waits."""
    destination, [dead] = await outbox.dead()
    await outbox.api.make_message(dead["ruleId"])
    await outbox.api.send("DELETE", f"/notification-rules/{dead['ruleId']}")
    await outbox.leave()
    rule = await outbox.api.make_rule()
    waiting = [await outbox.api.make_message(rule["id"]) for _ in range(2)]
    everything = [one["id"] for one in await outbox.deliveries()]
    second, first, skipped = everything[:3]
    assert everything == [waiting[1]["id"], waiting[0]["id"], skipped, dead["id"]]
    expected = {
        "?status=FAILED": [dead["id"]],
        "?status=SKIPPED": [skipped],
        "?status=PENDING": [second, first],
        "?status=SENT": [],
        f"?ruleId={rule['id']}": [second, first],
        f"?ruleId={dead['ruleId']}&status=SKIPPED": [skipped],
        f"?destinationId={destination['id']}": [skipped, dead["id"]],
        f"?destinationId={destination['id']}&status=FAILED": [dead["id"]],
        f"?destinationId={destination['id']}&ruleId={rule['id']}": [],
        f"?destinationId={uuid4()}": [],
        f"?ruleId={uuid4()}": [],
    }
    assert {query: [one["id"] for one in await outbox.deliveries(query)] for query in expected} == expected


async def test_a_page_leads_to_the_next_one_with_the_same_filter(outbox: Outbox) -> None:
    destination, dead = await outbox.dead(5)
    await outbox.api.make_message((await outbox.api.make_rule())["id"])
    seen: list[str] = []
    answer = await outbox.api.get(f"/deliveries?status=FAILED&destinationId={destination['id']}&size=2")
    while True:
        assert answer.headers["X-Total-Count"] == "5"
        seen += [one["id"] for one in answer.json]
        if "Link" not in answer.headers:
            break
        answer = await outbox.api.get(following(answer))
    assert seen == [one["id"] for one in dead]
    assert [one["id"] for one in await outbox.deliveries("?status=FAILED&size=2&page=1")] == seen[2:4]


async def test_destinations_are_listed_oldest_first_and_in_pages(outbox: Outbox) -> None:
    made = [
        await outbox.api.make_rule("WEBHOOK"),
        await outbox.api.make_rule("IN_APP"),
        await outbox.api.make_rule("EMAIL", channelConfig={"to": "ben@example.net,ada@example.org"}),
    ]
    first = await outbox.api.get("/destinations?size=2")
    assert first.headers["X-Total-Count"] == "3"
    rest = await outbox.api.get(following(first))
    assert "Link" not in rest.headers
    listed = first.json + rest.json
    labels = [("WEBHOOK", "https://hooks.example.com/…"), ("IN_APP", "in-app")]
    assert [(one["channel"], one["label"]) for one in listed] == [
        *labels,
        ("EMAIL", "ada@example.org, ben@example.net"),
    ]
    assert listed == [(await outbox.api.get(f"/destinations/{one['id']}")).json for one in listed]
    assert {one["status"] for one in listed} == {"OK"}
    for rule in made:
        await outbox.api.make_message(rule["id"])
    assert [one["destinationId"] for one in await outbox.deliveries()] == [one["id"] for one in reversed(listed)]


# How destinations fare


@pytest.mark.parametrize(
    ("status", "failures", "shown"),
    [
        (500, 1, "OK"),
        (500, OPEN_AFTER - 1, "OK"),
        (500, OPEN_AFTER, "FAILING"),
        (429, 1, "PAUSED"),
        (410, 1, "DISABLED"),
    ],
)
async def test_a_destination_shows_how_it_fares(outbox: Outbox, status: int, failures: int, shown: str) -> None:
    async with receiving(answering(status)) as receiver:
        await outbox.listened(receiver)
        await outbox.fail()
        for _ in range(failures):
            await outbox.leave_hastened()
        [destination] = [one for one in (await outbox.api.get("/destinations")).json if one["channel"] == "WEBHOOK"]
    assert destination == {
        "id": destination["id"],
        "channel": "WEBHOOK",
        "label": f"http://127.0.0.1:{receiver.port}/…",
        "status": shown,
        "consecutiveFailures": failures,
        "failingSince": destination["failingSince"],
        "pausedUntil": destination["pausedUntil"],
        "disabledAt": destination["disabledAt"],
        "disabledReason": destination["disabledReason"],
        "createdAt": destination["createdAt"],
    }
    assert_times(destination, "failingSince", "createdAt")
    assert (destination["pausedUntil"] is not None) is (shown in {"FAILING", "PAUSED"})
    assert (destination["disabledAt"] is not None) is (shown == "DISABLED")
    assert ("410" in (destination["disabledReason"] or "")) is (shown == "DISABLED")


# Sending again


async def test_a_dead_letter_is_sent_again_under_its_id(outbox: Outbox) -> None:
    async with receiving(in_turn(400)) as receiver:
        await outbox.listened(receiver)
        await outbox.fail()
        await outbox.leave()
        [dead] = await outbox.deliveries("?status=FAILED")
        assert (dead["error"], dead["nextAttemptAt"]) == ("127.0.0.1 answered 400.", None)
        await outbox.wakes()
        path = f"/deliveries/{dead['id']}/replay"
        replayed = (await outbox.api.post(path, status=202)).json
        assert (replayed["status"], replayed["error"], replayed["sentAt"]) == ("PENDING", None, None)
        assert (replayed["nextAttemptAt"] is not None, len(replayed["attempts"])) == (True, 1)
        assert await outbox.wakes()
        assert (await outbox.api.post(path, status=202)).json == replayed  # asked for twice
        await outbox.leave()
    assert receiver.asked == [dead["id"]] * 2
    assert receiver.taken == [dead["id"]]
    sent = await outbox.detail(dead["id"])
    assert (sent["status"], sent["attemptCount"], len(sent["attempts"])) == ("SENT", 2, 2)


async def test_what_was_sent_or_skipped_is_not_sent_again(outbox: Outbox) -> None:
    async with receiving() as receiver:
        rule = await outbox.listened(receiver)
        await outbox.fail()
        await outbox.leave()
        await outbox.fail()
        await outbox.api.send("DELETE", f"/notification-rules/{rule['id']}")
        await outbox.leave()
        for message in await outbox.deliveries():
            refused = await outbox.api.post(f"/deliveries/{message['id']}/replay", status=409)
            assert_refused(refused, 409)
            assert message["status"] in refused.json["message"]
            assert "FAILED" in refused.json["message"]
        await outbox.leave()
        assert sorted(one["status"] for one in await outbox.deliveries()) == ["SENT", "SKIPPED"]
        assert len(receiver.asked) == 1


async def test_the_dead_letters_of_one_destination_are_sent_again(outbox: Outbox) -> None:
    destination, dead = await outbox.dead(3)
    other, _ = await outbox.dead()
    path = f"/destinations/{destination['id']}/replay"
    assert (await outbox.api.post(path, status=202)).json == {"replayed": 3}
    assert (await outbox.api.post(path, status=202)).json == {"replayed": 0}
    assert [one["status"] for one in await outbox.deliveries(f"?destinationId={other['id']}")] == ["FAILED"]
    port = int(destination["label"].rpartition(":")[2].partition("/")[0])
    async with receiving(port=port) as back:
        await outbox.leave()
    assert back.taken == [one["id"] for one in reversed(dead)]  # of one trail: in the order of its facts


async def test_who_wants_no_more_is_let_alone_until_it_is_enabled(outbox: Outbox) -> None:
    async with receiving(in_turn(410)) as receiver:
        await outbox.listened(receiver)
        await outbox.fail()
        await outbox.leave()
        await outbox.fail()
        await outbox.leave()
        skipped, dead = await outbox.deliveries()
        assert (skipped["status"], skipped["error"]) == ("SKIPPED", "The destination is disabled.")
        enable = f"/destinations/{dead['destinationId']}/enable"
        for path in (f"/deliveries/{dead['id']}/replay", f"/destinations/{dead['destinationId']}/replay"):
            refused = await outbox.api.post(path, status=409)
            assert_refused(refused, 409)
            assert f"POST /api/v1{enable}" in refused.json["message"]
        assert len(receiver.asked) == 1
        enabled = (await outbox.api.post(enable, status=200)).json
        wanted = {"status": "OK", "consecutiveFailures": 0, "failingSince": None, "disabledAt": None}
        assert {name: enabled[name] for name in wanted} == wanted
        assert (await outbox.detail(dead["id"]))["status"] == "FAILED"  # until it is replayed
        await outbox.fail()
        await outbox.api.post(f"/deliveries/{dead['id']}/replay", status=202)
        await outbox.leave()
        assert [one["status"] for one in await outbox.deliveries()] == ["SENT", "SKIPPED", "SENT"]


async def test_what_waits_for_a_failing_destination_goes_at_once_when_it_is_enabled(outbox: Outbox) -> None:
    async with receiving(in_turn(*[500] * OPEN_AFTER)) as receiver:
        await outbox.listened(receiver)
        await outbox.fail(2)
        for _ in range(OPEN_AFTER):
            await outbox.leave_hastened()
        await outbox.leave()  # it rests: nothing is tried
        assert len(receiver.asked) == OPEN_AFTER
        waiting = await outbox.deliveries("?status=PENDING")
        await outbox.wakes()
        enabled = (await outbox.api.post(f"/destinations/{waiting[0]['destinationId']}/enable", status=200)).json
        assert (enabled["status"], enabled["pausedUntil"]) == ("OK", None)
        assert await outbox.wakes()
        await outbox.leave()
        assert receiver.taken == [one["id"] for one in reversed(waiting)]


@pytest.mark.parametrize("path", ["/deliveries/{}/replay", "/destinations/{}/replay", "/destinations/{}/enable"])
async def test_what_nobody_has_is_not_found_and_rings_for_nobody(outbox: Outbox, path: str) -> None:
    for request in ({}, DRY):
        refused = await outbox.api.post(path.format(uuid4()), status=404, **request)
        assert_refused(refused, 404)
    assert not await outbox.wakes()


# Dry runs and strangers


async def test_a_rehearsal_queues_nothing(outbox: Outbox) -> None:
    destination, [dead] = await outbox.dead()
    before = [await outbox.detail(dead["id"]), destination]
    await outbox.wakes()
    message = (await outbox.api.post(f"/deliveries/{dead['id']}/replay", status=200, **DRY)).json
    assert (message["dryRun"], message["wouldUpdate"]["status"]) == (True, "PENDING")
    several = (await outbox.api.post(f"/destinations/{destination['id']}/replay", status=200, **DRY)).json
    assert several["wouldUpdate"] == {"replayed": 1}
    enabled = (await outbox.api.post(f"/destinations/{destination['id']}/enable", status=200, **DRY)).json
    assert enabled["wouldUpdate"]["consecutiveFailures"] == 0
    after = [await outbox.detail(dead["id"]), (await outbox.api.get(f"/destinations/{destination['id']}")).json]
    assert after == before
    assert before[1]["consecutiveFailures"] == 1
    assert not await outbox.wakes()
    async with receiving() as receiver:
        await outbox.leave()
    assert receiver.asked == []


async def test_a_rehearsal_is_refused_like_the_real_thing(outbox: Outbox) -> None:
    destination, [dead] = await outbox.dead(status=410)
    for path in (f"/deliveries/{dead['id']}/replay", f"/destinations/{destination['id']}/replay"):
        refused = await outbox.api.post(path, status=409, **DRY)
        assert "Enable it first" in refused.json["message"]


async def test_another_organisation_sees_and_moves_nothing(outbox: Outbox) -> None:
    destination, [dead] = await outbox.dead()
    stranger = await found_organisation(outbox.api.client, outbox.services)
    for path in (f"/deliveries/{dead['id']}", f"/destinations/{destination['id']}"):
        await stranger.get(path, status=404)
        await stranger.post(f"{path}/replay", status=404)
    await stranger.post(f"/destinations/{destination['id']}/enable", status=404)
    for query in ("", f"?destinationId={destination['id']}", f"?ruleId={dead['ruleId']}", "?status=FAILED"):
        seen = await stranger.get(f"/deliveries{query}")
        assert (seen.json, seen.headers["X-Total-Count"]) == ([], "0")
    assert (await stranger.get("/destinations")).json == []
    assert (await outbox.detail(dead["id"]))["status"] == "FAILED"
    unmoved = (await outbox.api.get(f"/destinations/{destination['id']}")).json
    assert unmoved == destination
