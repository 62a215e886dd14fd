"""The generic sender's proof: which of the two schemes counts, and what names the delivery."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hmac import digest

import pytest
from standardwebhooks import Webhook

from integrations.contract import BadDelivery, BadSignature
from integrations.generic.verify import verify

SECRET = "whsec_" + b64encode(bytes(range(24))).decode()
BODY = b'{"eventType": "build.started"}'
NOW = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
SIGNED = {
    "webhook-id": "msg_1",
    "webhook-timestamp": str(int(NOW.timestamp())),
    "webhook-signature": Webhook(SECRET).sign("msg_1", NOW, BODY.decode()),
}
HEX = digest(SECRET.encode(), BODY, "sha256").hex()


def refusal(headers: Mapping[str, str], now: datetime = NOW) -> str:
    with pytest.raises(BadSignature) as refused:
        verify(headers, BODY, [SECRET], now)
    return refused.value.reason


def test_standard_webhooks_name_the_delivery_by_their_signed_id() -> None:
    verified = verify(SIGNED | {"x-delivery-id": "other"}, BODY, ["rotated", SECRET], NOW)
    assert (verified.delivery_id, verified.event) == ("msg_1", None)


@pytest.mark.parametrize("name", ["x-hub-signature-256", "x-webhook-signature"])
@pytest.mark.parametrize("prefix", ["", "sha256="])
def test_an_hmac_of_the_body_is_the_other_way(name: str, prefix: str) -> None:
    verified = verify({name: prefix + HEX, "x-delivery-id": "d-1"}, BODY, ["rotated", SECRET], NOW)
    assert (verified.delivery_id, verified.event) == ("d-1", None)


def test_a_failed_standard_signature_is_final() -> None:
    late = NOW + timedelta(minutes=6)
    assert refusal(SIGNED | {"x-hub-signature-256": HEX}, late) == "timestamp_too_old"
    assert refusal(SIGNED | {"x-hub-signature-256": HEX, "webhook-signature": ""}) == "signature_missing"


def test_no_signature_at_all() -> None:
    assert refusal({}) == "signature_missing"
    assert refusal({"webhook-id": "msg_1", "webhook-timestamp": SIGNED["webhook-timestamp"]}) == "signature_missing"


def test_ids_of_body_hmacs_come_from_headers_else_from_the_body() -> None:
    def delivery_id(headers: Mapping[str, str]) -> str:
        return verify({**headers, "x-webhook-signature": HEX}, BODY, [SECRET], NOW).delivery_id

    assert delivery_id({"webhook-id": "w.1", "x-delivery-id": "d-1"}) == "w.1"
    assert delivery_id({"x-delivery-id": "d-1"}) == "d-1"
    assert delivery_id({}).startswith("sha256:")


def test_an_unstorable_id_is_named_once_the_signature_holds() -> None:
    with pytest.raises(BadDelivery, match="x-delivery-id"):
        verify({"x-webhook-signature": HEX, "x-delivery-id": "é"}, BODY, [SECRET], NOW)
    assert refusal({"x-webhook-signature": "0" * 64, "x-delivery-id": "é"}) == "signature_mismatch"
