"""From a delivery of GitHub to everybody who is to be told: rules made over HTTP, whole processes, real receivers."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from storage.services import Services, open_services
from tests.api.notifications.event_streams import STREAM, EventStream, Received
from tests.conftest import Installation
from tests.journeys.client import Client, open_client
from tests.journeys.processes import (
    ADMIN_KEY,
    ProcessGroup,
    application,
    environment_of,
    free_port,
    served_address,
    settings_of,
)
from tests.journeys.senders import Sender, build, commit_of
from tests.journeys.waiting import eventually
from tests.workers.receiver import Receiver, receiving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TRIGGERS = ("ATTESTATION_FAILED", "TRAIL_NON_COMPLIANT")


@dataclass
class Mailbox:
    """A mail server that takes everything."""

    port: int = field(default_factory=free_port)
    taken: list[Envelope] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.taken.append(envelope)
        return "250 queued"

    @property
    def mails(self) -> list[EmailMessage]:
        contents = [one.content for one in self.taken if isinstance(one.content, bytes)]
        return [message_from_bytes(content, EmailMessage, policy=policy.default) for content in contents]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(lambda: SMTP(self, loop=loop), "127.0.0.1", self.port):
            yield


@dataclass(frozen=True)
class Telling:
    """An installation that may reach this machine and knows a mail server."""

    address: str
    environment: dict[str, str]
    mailbox: Mailbox


@pytest.fixture
def telling(own_installation: Installation, tmp_path: Path) -> Iterator[Telling]:
    mailbox = Mailbox()
    environment = environment_of(
        own_installation.database_url,
        own_installation.redis_url,
        tmp_path / "data",
        TRAILGATE_OUTBOUND_ALLOW="127.0.0.0/8",
        TRAILGATE_SMTP_URL=f"smtp://127.0.0.1:{mailbox.port}",
    )
    logs = {package: tmp_path / f"{package}.log" for package in ("api", "workers")}
    group = ProcessGroup([application(package, environment, log) for package, log in logs.items()])
    group.attend()
    try:
        yield Telling(served_address(logs["api"]), environment, mailbox)
    finally:
        group.stop()


@pytest.fixture
async def admin(telling: Telling) -> AsyncIterator[Client]:
    async with open_client(telling.address, ADMIN_KEY) as client:
        yield client


@pytest.fixture
async def inside(telling: Telling) -> AsyncIterator[Services]:
    async with open_services(settings_of(telling.environment), "test") as services:
        yield services


async def make_rules(admin: Client, receiver: Receiver) -> dict[str, tuple[str, str]]:
    """Both triggers on each channel; the answer is trigger and channel by rule id."""
    receiver.secret = SECRET
    configs: dict[str, Any] = {
        "WEBHOOK": {"webhookUrl": receiver.url, "secret": SECRET},
        "EMAIL": {"to": "ada@example.org, ben@example.net"},
        "IN_APP": {},
    }
    made = {}
    for trigger in TRIGGERS:
        for channel, config in configs.items():
            body = {"name": f"{trigger} {channel}", "triggerEvent": trigger, "channelType": channel}
            rule = await admin.post("/notification-rules", {**body, "channelConfig": json.dumps(config)})
            made[rule["id"]] = (trigger, channel)
    return made


@asynccontextmanager
async def listening(admin: Client) -> AsyncIterator[EventStream]:
    async with admin.session.get(STREAM) as response:
        assert response.status == 200
        stream = EventStream(response)
        assert await stream.block() == ["retry: 3000"]
        yield stream


async def settled(inside: Services) -> bool:
    """Whether nothing waits any more, neither to be worked on nor to be sent."""
    async with inside.database.read() as reader:
        return await reader.value("SELECT NOT EXISTS (SELECT FROM outbox) AND NOT EXISTS (SELECT FROM inbox)") is True


async def test_one_failing_run_is_told_six_times_by_three_channels_each_once(
    telling: Telling, admin: Client, inside: Services, unique: str
) -> None:
    config = await admin.config()
    failure = build(config.secret, unique, commit_of(unique), "failure")
    async with receiving() as receiver, telling.mailbox.serving(), listening(admin) as stream:
        rules = await make_rules(admin, receiver)
        receipt = await Sender(admin.session, config.path).deliver(failure)
        told_live = await stream.events(2)
        await eventually(lambda: settled(inside), 20, "everything sent")
        trail = (await admin.receipt(receipt))["trailId"]
        await Sender(admin.session, config.path).deliver(failure)  # a copy causes nothing
        await eventually(lambda: settled(inside), 20, "the copy being nothing new")
        assert await stream.silent(1.5)  # the sweep has come by meanwhile

    check_webhooks(receiver, trail)
    check_mails(telling.mailbox, {one.title for one in told_live})
    check_in_app(told_live, await admin.get("/notifications"))
    await check_deliveries(admin, rules, receiver)


def check_webhooks(receiver: Receiver, trail: str) -> None:
    """The receiver has verified each signature with the library of Standard Webhooks."""
    assert set(receiver.copies.values()) == {1}
    assert receiver.asked == receiver.taken
    assert sorted(body["triggerEvent"] for body in receiver.bodies) == sorted(TRIGGERS)
    assert {body["data"]["trailId"] for body in receiver.bodies} == {trail}


def check_mails(mailbox: Mailbox, titles: set[str]) -> None:
    assert [one.rcpt_tos for one in mailbox.taken] == [["ada@example.org", "ben@example.net"]] * 2
    assert {str(mail["Subject"]) for mail in mailbox.mails} == titles
    assert len(titles) == 2
    assert len({mail["Message-ID"] for mail in mailbox.mails}) == 2


def check_in_app(told_live: list[Received], listed: list[Any]) -> None:
    assert [one.id for one in told_live] == [1, 2]
    assert sorted(one.data["entityType"] for one in told_live) == ["ATTESTATION", "TRAIL"]
    assert {one.data["id"] for one in told_live} == {one["id"] for one in listed}
    assert len(listed) == 2


async def check_deliveries(admin: Client, rules: dict[str, tuple[str, str]], receiver: Receiver) -> None:
    """What the API says was sent is what arrived, at the first attempt."""
    deliveries = await admin.get("/deliveries")
    sent = {one["ruleId"]: (one["eventType"], one["channel"]) for one in deliveries}
    assert (sent, len(deliveries)) == (rules, 6)
    assert {(one["status"], one["attemptCount"]) for one in deliveries} == {("SENT", 1)}
    assert {one["id"] for one in deliveries if one["channel"] == "WEBHOOK"} == set(receiver.taken)
    assert {one["status"] for one in await admin.get("/destinations")} == {"OK"}
