"""Jenkins' proof, which is the one of our own format, and what names a notification."""

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hmac import digest
from typing import Any

import pytest
from standardwebhooks import Webhook

from integrations.contract import BadDelivery, BadSignature, SenderProof
from integrations.jenkins.verify import verify
from tests.integrations.mutations import changed
from tests.paths import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "jenkins"
NOTIFICATIONS = sorted(path.stem for path in FIXTURES.glob("*.json") if "own_format" not in path.stem)
NOW = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
SECRET = "whsec_" + b64encode(bytes(range(24))).decode()
OWN = b'{"eventType": "build.started"}'
FINALIZED = "finalized__success"

# GitHub, "Validating webhook deliveries": a vector of the same scheme
VECTOR_SECRET, VECTOR_BODY = "It's a Secret to Everybody", b"Hello, World!"
VECTOR = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def raw(name: str = FINALIZED) -> bytes:
    return (FIXTURES / f"{name}.json").read_bytes()


def hmac_header(body: bytes) -> dict[str, str]:
    return {"x-hub-signature-256": f"sha256={digest(SECRET.encode(), body, 'sha256').hex()}"}


def standard_headers(body: bytes, at: datetime = NOW) -> dict[str, str]:
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("msg_1", at, body.decode()),
    }


def refusal(headers: Mapping[str, str], body: bytes, now: datetime = NOW) -> str:
    with pytest.raises(BadSignature) as refused:
        verify(headers, body, [SECRET], now)
    return refused.value.reason


def natural_id(document: dict[str, Any], now: datetime = NOW) -> str:
    body = json.dumps(document).encode()
    return verify(hmac_header(body), body, [SECRET], now).delivery_id


def notification(name: str = FINALIZED, **places: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(raw(name))
    for field, value in places.items():
        document = changed(document, f"build.{field}", value)
    return document


def test_the_published_vector() -> None:
    """Its body is no JSON, so that what is refused after the signature shows that the signature held."""
    headers = {"x-hub-signature-256": f"sha256={VECTOR}"}
    with pytest.raises(BadDelivery, match="JSON"):
        verify(headers, VECTOR_BODY, ["rotated", VECTOR_SECRET], NOW)
    assert verify(headers | {"x-delivery-id": "d-1"}, VECTOR_BODY, [VECTOR_SECRET], NOW).delivery_id == "d-1"


@pytest.mark.parametrize("name", ["x-hub-signature-256", "x-webhook-signature"])
def test_an_hmac_of_the_body_in_either_header(name: str) -> None:
    headers = {name: hmac_header(raw())["x-hub-signature-256"]}
    verified = verify(headers, raw(), ["rotated", SECRET], NOW)
    assert (verified.event, verified.proof) == (None, SenderProof.SIGNED)
    assert refusal(headers, raw() + b" ") == "signature_mismatch"


def test_standard_webhooks_with_their_time() -> None:
    assert verify(standard_headers(raw()), raw(), [SECRET], NOW).delivery_id == "msg_1"
    assert refusal(standard_headers(raw()), raw(), NOW + timedelta(minutes=6)) == "timestamp_too_old"


def test_a_failed_standard_signature_is_final() -> None:
    headers = standard_headers(raw(), NOW - timedelta(minutes=6)) | hmac_header(raw())
    assert refusal(headers, raw()) == "timestamp_too_old"


def test_without_a_signature_nothing_is_let_in() -> None:
    assert refusal({}, raw()) == "signature_missing"
    invented = {"x-jenkins-signature": hmac_header(raw())["x-hub-signature-256"]}
    assert refusal(invented, raw()) == "signature_missing"


@pytest.mark.parametrize("name", ["webhook-id", "x-delivery-id"])
def test_a_header_names_the_delivery_first(name: str) -> None:
    assert verify(hmac_header(raw()) | {name: "d-1"}, raw(), [SECRET], NOW).delivery_id == "d-1"
    with pytest.raises(BadDelivery, match=name):
        verify(hmac_header(raw()) | {name: "é"}, raw(), [SECRET], NOW)


@pytest.mark.parametrize("name", NOTIFICATIONS)
def test_what_the_plugin_sends_again_keeps_its_id(name: str) -> None:
    again = changed(notification(name), "build.log", "Notifying endpoint: 2 tries remaining")
    later = changed(again, "build.timestamp", 1_772_600_000_000)
    assert natural_id(notification(name)) == natural_id(again) == natural_id(later, NOW + timedelta(days=1))


def test_all_notifications_have_different_ids() -> None:
    """But for the two fixtures that are one build's start, before and after the checkout."""
    ids = {name: natural_id(notification(name)) for name in NOTIFICATIONS}
    assert ids.pop("started__before_checkout") == ids["started__freestyle"]
    assert len(set(ids.values())) == len(ids)


@pytest.mark.parametrize(
    "places",
    [
        {"phase": "COMPLETED"},
        {"status": "FAILURE"},
        {"queue_id": 18_843},
        {"full_url": "https://other.example/job/parcels/job/parcel-tracker/431/"},
        {"full_url": None},
        {"full_url": None, "url": "job/parcels/job/parcel-tracker/432/"},
    ],
)
def test_what_tells_one_notification_from_another(places: dict[str, Any]) -> None:
    assert natural_id(notification(**places)) != natural_id(notification())


def test_natural_ids_are_short_and_printable() -> None:
    long = natural_id(notification(full_url="https://jenkins.northwind.example/" + "ä" * 2000))
    assert len(long) == len("sha256:") + 64
    assert long.isascii()


def test_our_own_format_without_an_id_is_told_apart_by_body_and_time() -> None:
    own = verify(hmac_header(OWN), OWN, [SECRET], NOW).delivery_id
    assert own == verify(hmac_header(OWN), OWN, [SECRET], NOW + timedelta(seconds=1)).delivery_id
    assert own != verify(hmac_header(OWN), OWN, [SECRET], NOW + timedelta(days=1)).delivery_id
    assert own.startswith("sha256:")


@pytest.mark.parametrize(
    ("places", "field"),
    [
        ({"url": None}, "build.url"),
        ({"url": "u" * 2049}, "build.url"),
        ({"phase": "finalized"}, "build.phase"),
        ({"phase": None}, "build.phase"),
        ({"queue_id": "18842"}, "build.queue_id"),
        ({"full_url": "ftp://jenkins"}, "build.full_url"),
        ({"status": "s" * 256}, "build.status"),
    ],
)
def test_what_names_no_build_is_named_once_the_signature_holds(places: dict[str, Any], field: str) -> None:
    body = json.dumps(notification(**places)).encode()
    with pytest.raises(BadDelivery) as refused:
        verify(hmac_header(body), body, [SECRET], NOW)
    assert refused.value.field == field
    assert refusal(hmac_header(OWN), body) == "signature_mismatch"
