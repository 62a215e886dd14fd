"""Every recorded payload of every sender, through the receiver as its vendor sends it, the drain and the receipt."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from hmac import digest
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from _pytest.mark.structures import ParameterSet
from aiohttp.test_utils import TestClient

from integrations import SENDERS
from integrations.contract import Delivery
from storage.services import Services
from tests.api.caller import SECRET, Caller, found_organisation, sign
from tests.api.webhooks.sending import (
    STANDARD_SECRET,
    Sender,
    github_headers,
    gitlab_headers,
    let_in,
    standard_headers,
)
from tests.paths import FIXTURES
from workers.drain import drain

pytestmark = pytest.mark.asyncio(loop_scope="session")

Headers = dict[str, str]
Send = Callable[[str, bytes, str], Headers]
"""The headers of one attempt to send an event under a delivery id."""

JSON = {"Content-Type": "application/json"}
GITLAB_EVENTS = {
    "build": "Job Hook",
    "merge_request": "Merge Request Hook",
    "note": "Note Hook",
    "tag_push": "Tag Push Hook",
    "user_add_to_group": "Member Hook",
}
"""Named otherwise than the body's kind with a capital letter."""


def gitlab_name(event: str) -> str:
    return GITLAB_EVENTS.get(event, f"{event.title()} Hook")


def github(event: str, body: bytes, delivery_id: str) -> Headers:
    return github_headers(body, event) | {"X-GitHub-Delivery": delivery_id}


def gitlab_token(event: str, body: bytes, delivery_id: str) -> Headers:
    return gitlab_headers(gitlab_name(event), delivery_id) | {"X-Gitlab-Token": SECRET}


def gitlab_signed(event: str, body: bytes, delivery_id: str) -> Headers:
    return gitlab_headers(gitlab_name(event), delivery_id) | standard_headers(body, message_id=delivery_id)


def bitbucket(event: str, body: bytes, delivery_id: str) -> Headers:
    attempt = {"X-Request-UUID": delivery_id, "X-Hook-UUID": str(uuid4())}
    return JSON | attempt | {"X-Hub-Signature": sign(body), "X-Event-Key": event}


def jenkins(event: str, body: bytes, delivery_id: str) -> Headers:
    """The plugin names no delivery: its body does."""
    return JSON | {"X-Hub-Signature-256": sign(body)}


def circleci(event: str, body: bytes, delivery_id: str) -> Headers:
    signature = {"circleci-signature": "v1=" + digest(SECRET.encode(), body, "sha256").hex()}
    return JSON | signature | {"circleci-event-type": event}


def own_format(event: str, body: bytes, delivery_id: str) -> Headers:
    """Whoever sends our format for a vendor signs as our own senders do."""
    return JSON | {"X-Webhook-Signature": sign(body), "X-Delivery-Id": delivery_id}


def azure_devops(event: str, body: bytes, delivery_id: str) -> Headers:
    return JSON | {"Authorization": "Basic " + b64encode(f"trailgate:{SECRET}".encode()).decode()}


def generic(event: str, body: bytes, delivery_id: str) -> Headers:
    return standard_headers(body, message_id=delivery_id)


VENDORS: Mapping[str, tuple[str, Send]] = {
    "github": ("GITHUB", github),
    "gitlab by token": ("GITLAB", gitlab_token),
    "gitlab signed": ("GITLAB", gitlab_signed),
    "bitbucket": ("BITBUCKET", bitbucket),
    "jenkins": ("JENKINS", jenkins),
    "circleci": ("CIRCLECI", circleci),
    "azure devops": ("AZURE_DEVOPS", azure_devops),
    "generic": ("GENERIC", generic),
}
STANDARD = {gitlab_signed, generic}


def fixtures(source: str) -> list[str]:
    return sorted(path.stem for path in (FIXTURES / source.lower()).glob("*.json"))


EVERY = [(vendor, name) for vendor, (source, _) in VENDORS.items() for name in fixtures(source)]


def event_of(source: str, name: str) -> str:
    """A colon cannot stand in the name of a file."""
    event = name.partition("__")[0]
    return event.replace(".", ":") if source == "BITBUCKET" else event


def recorded_payloads() -> Iterator[ParameterSet]:
    """All of them in `make test-all`, the first of each event in `make test`."""
    seen = set()
    for vendor, name in EVERY:
        event = vendor, event_of(VENDORS[vendor][0], name)
        yield pytest.param(vendor, name, marks=[pytest.mark.slow] if event in seen else [])
        seen.add(event)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def owner(http: TestClient[Any, Any], app_services: Services) -> Caller:
    """One organisation for all: each payload has a flow of its own in it."""
    return await found_organisation(http, app_services)


async def sender_of(owner: Caller, vendor: str) -> Sender:
    source, send = VENDORS[vendor]
    return await let_in(owner, source, STANDARD_SECRET if send in STANDARD else SECRET)


async def payload(owner: Caller, sender: Sender, name: str) -> bytes:
    """As recorded; a trail that it names is one of the sender's flow."""
    raw = (FIXTURES / sender.source.lower() / f"{name}.json").read_bytes()
    if named := json.loads(raw).get("trailId"):
        trail = await owner.make_trail(sender.flow_id)
        raw = raw.replace(named.encode(), trail["id"].encode())
    return raw


@pytest.mark.parametrize(("vendor", "name"), list(recorded_payloads()))
async def test_a_recorded_payload_becomes_what_it_says_and_its_copies_nothing_more(
    owner: Caller, app_services: Services, vendor: str, name: str
) -> None:
    sender = await sender_of(owner, vendor)
    body, ours = await payload(owner, sender, name), name.endswith("own_format")
    event, send = event_of(sender.source, name), own_format if ours else VENDORS[vendor][1]
    parsed = SENDERS[sender.source].parse(Delivery(None if ours else event, {}, body))
    delivery_id = str(uuid4())

    accepted = await sender.deliver(body, send(event, body, delivery_id))
    copy = await sender.deliver(body, send(event, body, delivery_id))
    await drain(app_services)
    settled = await sender.receipt(accepted)
    late = await sender.deliver(body, send(event, body, delivery_id))
    await drain(app_services)

    assert (settled["status"], settled["eventType"]) == ("SUCCESS", parsed.event_type)
    assert {one.json["receiptId"] for one in (copy, late)} == {accepted.json["receiptId"]}
    assert "duplicate" not in accepted.json["message"]
    [delivery] = await sender.deliveries()
    assert (delivery["duplicates"], delivery["status"]) == (2, "SUCCESS")
    assert (await sender.receipt(accepted)) == settled | {"duplicates": 2}
    await check_facts(owner, settled, parsed)


async def check_facts(owner: Caller, settled: Any, parsed: Any) -> None:
    """A trail where the payload names one, and its attestations, once."""
    assert (settled["trailId"] is not None) is (parsed.trail is not None)
    assert len(settled["attestationIds"]) == len(parsed.attestations)
    if settled["trailId"] is None:
        return
    trail = (await owner.get(f"/trails/{settled['trailId']}")).json
    assert parsed.trail.trail_id in (None, UUID(trail["id"]))
    assert parsed.trail.commit in (None, trail["gitCommitSha"])
    recorded = (await owner.get(f"/trails/{trail['id']}/attestations")).json
    wanted = [(hint.type, hint.status, hint.name) for hint in parsed.attestations]
    assert [(one["type"], one["status"], one["name"]) for one in recorded] == wanted


async def test_a_pull_request_that_names_its_commit_in_short_joins_the_trail_of_the_push(
    owner: Caller, app_services: Services
) -> None:
    """Bitbucket Cloud abbreviates commits everywhere but in its pushes."""
    sender = await sender_of(owner, "bitbucket")
    trails = []
    for name in ("repo.push__branch", "pullrequest.created__open", "pullrequest.approved__reviewer"):
        body, event = await payload(owner, sender, name), event_of("BITBUCKET", name)
        accepted = await sender.deliver(body, bitbucket(event, body, str(uuid4())))
        await drain(app_services)
        trails.append((await sender.receipt(accepted))["trailId"])
    assert len(set(trails)) == 1
    [trail] = (await owner.get(f"/trails?flowId={sender.flow_id}")).json
    assert (trail["id"], len(trail["gitCommitSha"]), trail["pullRequestReviewer"]) == (trails[0], 40, "ada-byron")


async def test_every_sender_and_fixture_is_walked() -> None:
    assert {source for source, _ in VENDORS.values()} == set(SENDERS)
    assert all(len(fixtures(source)) >= 10 for source in SENDERS)
