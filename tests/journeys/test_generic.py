"""Senders without a format of their own: Standard Webhooks by its own library, and a bare HMAC."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.journeys.client import Client, Config
from tests.journeys.senders import Delivery, Sender, commit_of, hex_hmac, standard
from tests.paths import FIXTURES

SECRET = "whsec_" + base64.b64encode(b"a secret of exactly 32 bytes len").decode()


def event(event_type: str, commit: str, **more: str) -> bytes:
    return json.dumps({"eventType": event_type, "gitCommitSha": commit, "gitAuthor": "Ada", **more}).encode()


def plain(config: Config, delivery_id: str, body: bytes) -> Delivery:
    return Delivery(
        delivery_id, body, {"X-Delivery-Id": delivery_id, "X-Webhook-Signature": hex_hmac(config.secret, body)[7:]}
    )


async def refused(client: Client, config: Config, delivery: Delivery) -> str:
    async with client.session.post(config.path, data=delivery.body, headers=delivery.headers) as response:
        assert response.status == 401
        return str((await response.json())["message"])


async def test_standard_webhooks_and_hex_hmac_reach_the_same_trail(admin: Client, unique: str) -> None:
    config = await admin.config("GENERIC", secret=SECRET)
    sender, commit = Sender(admin.session, config.path), commit_of(unique)
    first = await sender.deliver(standard(SECRET, f"{unique}-1", event("build.succeeded", commit)))
    built = await admin.receipt(first)
    tested = await admin.receipt(
        await sender.deliver(plain(config, f"{unique}-2", event("test.failed", commit, details="3 of 412 failed")))
    )
    assert built["trailId"] == tested["trailId"]
    items = await admin.get(f"/trails/{built['trailId']}/attestations")
    assert [(item["type"], item["status"], item["details"]) for item in items] == [
        ("BUILD", "PASSED", None),
        ("TEST", "FAILED", "3 of 412 failed"),
    ]
    trail = await admin.get(f"/trails/{built['trailId']}")
    assert (trail["status"], trail["gitAuthor"]) == ("NON_COMPLIANT", "Ada")


@pytest.mark.parametrize("name", sorted(path.stem for path in (FIXTURES / "generic").glob("*.json")))
async def test_every_event_of_ours_is_accepted_and_settled(admin: Client, unique: str, name: str) -> None:
    config = await admin.config("GENERIC", secret=SECRET)
    body = (FIXTURES / "generic" / f"{name}.json").read_bytes()
    receipt = await admin.receipt(await Sender(admin.session, config.path).deliver(standard(SECRET, unique, body)))
    if name.endswith("__by_trail"):
        assert (receipt["status"], receipt["statusMessage"]) == (
            "FAILED",
            "trailId: no such trail in this webhook's flow",
        )
    elif name.endswith("__unknown"):
        assert (receipt["status"], receipt["trailId"]) == ("SUCCESS", None)
    else:
        assert (receipt["status"], receipt["eventType"]) == ("SUCCESS", name.partition("__")[0])
        assert receipt["trailId"]


async def test_replayed_and_skewed_timestamps_do_not_prove_anything(admin: Client, unique: str) -> None:
    config = await admin.config("GENERIC", secret=SECRET)
    body, now = event("build.succeeded", commit_of(unique)), datetime.now(UTC)
    for skew in (timedelta(minutes=-6), timedelta(minutes=6)):
        told = await refused(admin, config, standard(SECRET, unique, body, now + skew))
        assert told == "This delivery could not be authenticated."
    assert await admin.get(f"/webhook-configs/{config.id}/deliveries") == []
    await admin.receipt(await Sender(admin.session, config.path).deliver(standard(SECRET, unique, body, now)))


async def test_an_event_may_name_a_trail_of_its_flow_and_no_other(admin: Client, unique: str) -> None:
    config, other = await admin.config("GENERIC", secret=SECRET), await admin.config("GENERIC", secret=SECRET)
    sender = Sender(admin.session, config.path)
    opened = await admin.receipt(
        await sender.deliver(standard(SECRET, f"{unique}-1", event("build.started", commit_of(unique))))
    )
    body = json.dumps({"eventType": "test.passed", "trailId": opened["trailId"]}).encode()
    ours = await admin.receipt(await sender.deliver(standard(SECRET, f"{unique}-2", body)))
    theirs = await admin.receipt(await Sender(admin.session, other.path).deliver(standard(SECRET, f"{unique}-3", body)))
    assert (ours["status"], ours["trailId"]) == ("SUCCESS", opened["trailId"])
    assert (theirs["status"], theirs["trailId"], theirs["attestationIds"]) == ("FAILED", None, [])


async def test_what_is_not_our_schema_is_refused_before_the_promise(admin: Client, unique: str) -> None:
    config = await admin.config("GENERIC", secret=SECRET)
    delivery = standard(SECRET, unique, b'{"eventType": "build.succeeded", "attestationStatus": "GREEN"}')
    async with admin.session.post(config.path, data=delivery.body, headers=delivery.headers) as response:
        assert response.status == 400
        assert "attestationStatus" in (await response.json())["message"]
    assert await admin.get(f"/webhook-configs/{config.id}/deliveries") == []
