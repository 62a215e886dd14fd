"""What the receiver accepts, and what becomes of it."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import pytest

from storage.services import Services
from tests.api.caller import SECRET, Caller
from tests.api.webhooks.sending import (
    STANDARD_SECRET,
    generic,
    github_headers,
    let_in,
    recorded,
    standard_headers,
)
from workers.drain import drain

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_github_run_becomes_a_trail_with_its_attestation(api: Caller, app_services: Services) -> None:
    sender = await let_in(api)
    body = recorded("workflow_run__success")
    headers = github_headers(body)
    accepted = await sender.deliver(body, headers)
    assert accepted.json == {
        "accepted": True,
        "deliveryId": headers["X-GitHub-Delivery"],
        "message": "workflow_run accepted",
        "receiptId": str(UUID(accepted.json["receiptId"])),
    }
    waiting = await sender.receipt(accepted)
    assert (waiting["status"], waiting["trailId"], waiting["attestationIds"]) == ("PENDING", None, [])
    await drain(app_services)
    settled = await sender.receipt(accepted)
    assert (settled["status"], settled["eventType"]) == ("SUCCESS", "build.succeeded")
    trail = (await api.get(f"/trails/{settled['trailId']}")).json
    run = json.loads(body)["workflow_run"]
    assert (trail["flowId"], trail["gitCommitSha"]) == (sender.flow_id, run["head_sha"])
    assert trail["status"] == "COMPLIANT"
    [attestation] = (await api.get(f"/trails/{trail['id']}/attestations")).json
    assert settled["attestationIds"] == [attestation["id"]]
    assert (attestation["type"], attestation["status"]) == ("BUILD", "PASSED")
    assert (attestation["origin"], attestation["receiptId"]) == ("webhook", accepted.json["receiptId"])


GENERIC_OUTCOMES = [
    ("build.started", None, None),
    ("build.succeeded", "BUILD", "PASSED"),
    ("build.failed", "BUILD", "FAILED"),
    ("test.passed", "TEST", "PASSED"),
    ("test.failed", "TEST", "FAILED"),
    ("scan.passed", "SECURITY_SCAN", "PASSED"),
    ("scan.failed", "SECURITY_SCAN", "FAILED"),
    ("deployment.triggered", None, None),
    ("approval.granted", None, None),
]


@pytest.mark.parametrize(("event", "type_", "status"), GENERIC_OUTCOMES)
async def test_generic_events(
    api: Caller, app_services: Services, event: str, type_: str | None, status: str | None
) -> None:
    sender = await let_in(api, "GENERIC", STANDARD_SECRET)
    body = generic(event, gitAuthor="ada", gitBranch="main", gitAuthorEmail="ada@example.com")
    accepted = await sender.deliver(body, standard_headers(body))
    await drain(app_services)
    settled = await sender.receipt(accepted)
    assert (settled["status"], settled["eventType"]) == ("SUCCESS", event)
    trail = (await api.get(f"/trails/{settled['trailId']}")).json
    assert trail["deploymentActor"] == ("ada" if event == "deployment.triggered" else None)
    assert trail["pullRequestReviewer"] == ("ada" if event == "approval.granted" else None)
    found = (await api.get(f"/trails/{trail['id']}/attestations")).json
    assert [(one["type"], one["status"]) for one in found] == ([(type_, status)] if type_ else [])
    assert trail["status"] == ("NON_COMPLIANT" if status == "FAILED" else "COMPLIANT" if status else "PENDING")


@pytest.mark.parametrize("header", ["X-Hub-Signature-256", "X-Webhook-Signature"])
@pytest.mark.parametrize("source", ["GITHUB", "GENERIC"])
async def test_a_hex_hmac_of_the_body_in_either_header(api: Caller, source: str, header: str) -> None:
    sender = await let_in(api, source)
    for prefix in ("sha256=", ""):
        for spelling in (str.lower, str.upper):
            body = generic()
            signature = github_headers(body)["X-Hub-Signature-256"].removeprefix("sha256=")
            await sender.deliver(body, {header: prefix + spelling(signature)})


async def test_the_path_without_a_config_finds_it_by_its_signature(admin: Caller, app_services: Services) -> None:
    """`default` alone has this path."""
    secrets = [uuid4().hex, uuid4().hex]
    senders = [await let_in(admin, "GITHUB", secret) for secret in secrets]
    await asyncio.sleep(1.1)  # a config looked up before is known for a second
    try:
        for sender, secret in zip(senders, secrets, strict=True):
            for path in ("/webhooks/github", "/webhooks/GITHUB", "/webhooks/GitHub"):
                body = json.dumps({"zen": f"{secret} at {path}"}).encode()
                headers = github_headers(body, "ping", secret)
                await Caller(admin.client, None).post(path, status=202, data=body, headers=headers)
            assert len(await sender.deliveries()) == 3
        await drain(app_services)
        assert {one["eventType"] for one in await senders[0].deliveries()} == {"ping"}
    finally:
        for sender in senders:
            await admin.send("DELETE", f"/webhook-configs/{sender.config_id}")


async def test_the_path_without_a_config_never_leads_into_another_organisation(api: Caller) -> None:
    secret = uuid4().hex
    sender = await let_in(api, "GITHUB", secret)
    await asyncio.sleep(1.1)
    body = b"{}"
    await Caller(api.client, None).post(
        "/webhooks/github", status=401, data=body, headers=github_headers(body, "ping", secret)
    )
    await sender.deliver(body, github_headers(body, "ping", secret))


async def test_a_copy_gets_the_same_receipt_and_is_counted(api: Caller, app_services: Services) -> None:
    sender = await let_in(api)
    body = recorded("workflow_run__success")
    headers = github_headers(body)
    first = await sender.deliver(body, headers)
    copies = [await sender.deliver(body, headers) for _ in range(2)]
    await drain(app_services)
    copies.append(await sender.deliver(body, headers))
    assert {copy.json["receiptId"] for copy in copies} == {first.json["receiptId"]}
    assert all("duplicate" in copy.json["message"] and copy.json["accepted"] is True for copy in copies)
    assert "duplicate" not in first.json["message"]
    await drain(app_services)
    [delivery] = await sender.deliveries()
    assert (delivery["duplicates"], delivery["status"]) == (3, "SUCCESS")
    [trail] = (await api.get("/trails")).json
    assert len((await api.get(f"/trails/{trail['id']}/attestations")).json) == 1


async def test_of_parallel_copies_one_is_kept(api: Caller, app_services: Services) -> None:
    sender = await let_in(api)
    body = recorded("workflow_run__failure")
    headers = github_headers(body)
    answers = await asyncio.gather(*(sender.deliver(body, headers) for _ in range(20)))
    assert len({answer.json["receiptId"] for answer in answers}) == 1
    assert sorted("duplicate" in answer.json["message"] for answer in answers) == [False] + [True] * 19
    await drain(app_services)
    [delivery] = await sender.deliveries()
    assert delivery["duplicates"] == 19
    [trail] = (await api.get("/trails")).json
    assert trail["status"] == "NON_COMPLIANT"


async def test_one_delivery_id_at_two_configs_is_two_deliveries(api: Caller) -> None:
    body = b"{}"
    headers = github_headers(body, "ping")
    receipts = {(await (await let_in(api)).deliver(body, headers)).json["receiptId"] for _ in range(2)}
    assert len(receipts) == 2


@pytest.mark.parametrize("header", ["X-GitHub-Delivery", "X-Delivery-Id"])
async def test_the_delivery_id_is_the_senders(api: Caller, header: str) -> None:
    sender = await let_in(api)
    body = b"{}"
    headers = github_headers(body, "ping")
    del headers["X-GitHub-Delivery"]
    accepted = await sender.deliver(body, {**headers, header: "the sender's own 42"})
    assert accepted.json["deliveryId"] == "the sender's own 42"


async def test_without_a_delivery_id_the_body_tells_copies_apart(api: Caller) -> None:
    sender = await let_in(api)
    answers = []
    for body in (b'{"a": 1}', b'{"a": 1}', b'{"a": 2}'):
        headers = github_headers(body, "ping")
        del headers["X-GitHub-Delivery"]
        answers.append((await sender.deliver(body, headers)).json["receiptId"])
    assert answers[0] == answers[1] != answers[2]


@pytest.mark.parametrize("event", ["star", "coffee_brewed"])
async def test_an_unknown_event_is_kept_as_success(api: Caller, app_services: Services, event: str) -> None:
    sender = await let_in(api)
    body = b'{"action": "created"}'
    accepted = await sender.deliver(body, github_headers(body, event))
    await drain(app_services)
    settled = await sender.receipt(accepted)
    assert (settled["status"], settled["eventType"], settled["trailId"]) == ("SUCCESS", f"github.{event}", None)


async def test_an_unknown_generic_event_is_kept_as_success(api: Caller, app_services: Services) -> None:
    sender = await let_in(api, "GENERIC")
    body = generic("coffee.brewed")
    accepted = await sender.deliver(body, github_headers(body))
    await drain(app_services)
    settled = await sender.receipt(accepted)
    assert (settled["status"], settled["eventType"]) == ("SUCCESS", "generic.coffee.brewed")


async def test_a_form_encoded_github_hook(api: Caller, app_services: Services) -> None:
    sender = await let_in(api)
    form = urlencode({"payload": recorded("workflow_run__success").decode()}).encode()
    headers = github_headers(form) | {"Content-Type": "application/x-www-form-urlencoded"}
    accepted = await sender.deliver(form, headers)
    await drain(app_services)
    assert (await sender.receipt(accepted))["eventType"] == "build.succeeded"


UNREAD = {
    "a byte order mark": (b'{"action"', b'\xef\xbb\xbf{"action"'),
    "NUL": (b'"action"', b'"more": "a\\u0000", "action"'),
    "half a character": (b'"action"', b'"more": "a\\ud83d", "action"'),
    "a large integer": (b'"action"', b'"more": 18446744073709551616, "action"'),
    "depth": (b'"action"', b'"more": ' + b"[" * 150 + b"]" * 150 + b', "action"'),
}


@pytest.mark.parametrize("name", UNREAD)
@pytest.mark.parametrize("form", [False, True])
async def test_a_failed_build_is_not_lost_over_what_nobody_reads(
    api: Caller, app_services: Services, name: str, form: bool
) -> None:
    sender = await let_in(api)
    body = json.dumps(json.loads(recorded("workflow_run__failure"))).encode().replace(*UNREAD[name], 1)
    sent = urlencode({"payload": body}).encode() if form else body
    kind = "application/x-www-form-urlencoded" if form else "application/json"
    accepted = await sender.deliver(sent, github_headers(sent) | {"Content-Type": kind})
    await drain(app_services)
    settled = await sender.receipt(accepted)
    assert (settled["status"], settled["eventType"], len(settled["attestationIds"])) == ("SUCCESS", "build.failed", 1)


async def test_a_generic_event_with_a_byte_order_mark(api: Caller, app_services: Services) -> None:
    sender = await let_in(api, "GENERIC")
    body = b"\xef\xbb\xbf" + generic("build.failed")
    accepted = await sender.deliver(body, github_headers(body))
    await drain(app_services)
    assert (await sender.receipt(accepted))["eventType"] == "build.failed"


async def test_a_dead_letter_lives_again_when_resent(api: Caller, app_services: Services) -> None:
    sender = await let_in(api)
    body = b'{"action": "completed", "workflow_run": {"head_sha": "not hex"}}'
    accepted = await sender.deliver(body, github_headers(body))
    await drain(app_services)
    dead = await sender.receipt(accepted)
    assert dead["status"] == "FAILED"
    assert dead["statusMessage"].startswith("workflow_run.head_sha")
    again = await sender.deliver(body, github_headers(body))
    assert again.json["receiptId"] == accepted.json["receiptId"]
    assert (await sender.receipt(accepted))["status"] == "PENDING"


async def test_a_trail_of_another_flow_is_refused(api: Caller, app_services: Services) -> None:
    foreign = await api.make_trail((await api.make_flow())["id"])
    sender = await let_in(api, "GENERIC")
    body = generic("build.failed", trailId=foreign["id"])
    accepted = await sender.deliver(body, github_headers(body))
    await drain(app_services)
    settled = await sender.receipt(accepted)
    assert settled["status"] == "FAILED"
    assert "trailId" in settled["statusMessage"]
    assert await api.status_of(foreign["id"]) == "PENDING"


async def test_deliveries_are_listed_newest_first(api: Caller) -> None:
    sender = await let_in(api)
    made = []
    for n in range(5):
        body = json.dumps({"n": n}).encode()
        made.append((await sender.deliver(body, github_headers(body, "ping"))).json["receiptId"])
    listed = await sender.deliveries()
    assert [one["id"] for one in listed] == made[::-1]
    assert listed[0].keys() == {
        "id",
        "receiptId",
        "webhookConfigId",
        "deliveryId",
        "source",
        "event",
        "eventType",
        "status",
        "statusMessage",
        "payloadHash",
        "duplicates",
        "trailId",
        "receivedAt",
        "processedAt",
    }


async def settle_soon(services: Services, after: float) -> None:
    await asyncio.sleep(after)
    await drain(services)


async def test_a_receipt_can_be_waited_for(api: Caller, app_services: Services) -> None:
    sender = await let_in(api)
    body = recorded("workflow_run__success")
    accepted = await sender.deliver(body, github_headers(body))
    path = f"/receipts/{accepted.json['receiptId']}"
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert (await api.get(f"{path}?wait=0.3")).json["status"] == "PENDING"
    assert 0.3 <= loop.time() - started < 2
    settling = asyncio.create_task(settle_soon(app_services, 0.2))
    started = loop.time()
    assert (await api.get(f"{path}?wait=20")).json["status"] == "SUCCESS"
    assert 0.2 <= loop.time() - started < 5
    await settling
    started = loop.time()
    assert (await api.get(f"{path}?wait=20")).json["status"] == "SUCCESS"
    assert loop.time() - started < 2


async def test_observed_times_are_believed_within_bounds(api: Caller, app_services: Services) -> None:
    """At 30 days before the receipt to 5 minutes after it."""
    sender = await let_in(api, "GENERIC")
    now = datetime.now(UTC)
    observed: dict[str, Any] = {}
    for days in (1, 400, -400):
        body = generic(observedAt=(now - timedelta(days=days)).isoformat(), attestationName=str(days))
        accepted = await sender.deliver(body, github_headers(body))
        await drain(app_services)
        trail_id = (await sender.receipt(accepted))["trailId"]
        [one] = (await api.get(f"/trails/{trail_id}/attestations")).json
        observed[str(days)] = datetime.fromisoformat(one["observedAt"])
    assert observed["1"] == now - timedelta(days=1)
    assert abs(observed["400"] - (now - timedelta(days=30))) < timedelta(seconds=30)
    assert abs(observed["-400"] - (now + timedelta(minutes=5))) < timedelta(seconds=30)


async def test_standard_webhooks_ids_tell_copies_apart(api: Caller) -> None:
    sender = await let_in(api, "GENERIC", STANDARD_SECRET)
    body = generic()
    headers = standard_headers(body)
    first, copy = [await sender.deliver(body, headers) for _ in range(2)]
    assert first.json["deliveryId"] == headers["webhook-id"]
    assert copy.json["receiptId"] == first.json["receiptId"]
    assert (await sender.deliver(body, standard_headers(body))).json["receiptId"] != first.json["receiptId"]
    assert SECRET != STANDARD_SECRET
