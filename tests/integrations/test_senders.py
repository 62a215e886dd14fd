"""The ten-rule list of engineering.md 4.6, for every inbound sender (the specification's vectors: test_signatures.py).

Reconciling what a sender lost on the way needs its API and is not a matter of verify and parse.
"""

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hmac import digest

import pytest

from integrations import SENDERS
from integrations.contract import BadSignature, Delivery, Verified

NOW = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
SECRET = "a secret that somebody typed"
BODY = b'{"eventType": "coffee.brewed"}'


def body_hmac(body: bytes) -> dict[str, str]:
    return {"x-hub-signature-256": "sha256=" + digest(SECRET.encode(), body, "sha256").hex(), "x-delivery-id": "d-1"}


def standard(body: bytes) -> dict[str, str]:
    timestamp = str(int(NOW.timestamp()))
    signed = digest(SECRET.encode(), f"d-1.{timestamp}.".encode() + body, "sha256")
    return {
        "webhook-id": "d-1",
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + b64encode(signed).decode(),
    }


SCHEMES = [
    pytest.param("GITHUB", body_hmac, "x-hub-signature-256", id="github"),
    pytest.param("GENERIC", body_hmac, "x-hub-signature-256", id="generic-hmac"),
    pytest.param("GENERIC", standard, "webhook-signature", id="generic-standard"),
]
Sign = Callable[[bytes], dict[str, str]]
each_scheme = pytest.mark.parametrize(("source", "sign", "header"), SCHEMES)


def verify(source: str, headers: dict[str, str], body: bytes = BODY, secret: str = SECRET) -> Verified:
    return SENDERS[source].verify(headers, body, [secret], NOW)


@each_scheme
def test_a_signed_delivery_is_accepted_and_its_duplicate_has_the_same_id(source: str, sign: Sign, header: str) -> None:
    assert verify(source, sign(BODY)).delivery_id == verify(source, sign(BODY)).delivery_id == "d-1"


@each_scheme
def test_a_tampered_body_is_refused(source: str, sign: Sign, header: str) -> None:
    with pytest.raises(BadSignature, match="signature_mismatch"):
        verify(source, sign(BODY), BODY + b" ")


@each_scheme
def test_a_wrong_secret_is_refused(source: str, sign: Sign, header: str) -> None:
    with pytest.raises(BadSignature, match="signature_mismatch"):
        verify(source, sign(BODY), secret="another")


@each_scheme
def test_a_missing_header_is_refused(source: str, sign: Sign, header: str) -> None:
    headers = sign(BODY)
    del headers[header]
    with pytest.raises(BadSignature, match="signature_missing"):
        verify(source, headers)


@each_scheme
@pytest.mark.parametrize(
    ("value", "reason"),
    [("sha256=" + "é" * 64, "header_not_ascii"), ("v1,é", "header_not_ascii"), ("a" * 1025, "header_oversize")],
)
def test_headers_made_to_break_us_are_refused(source: str, sign: Sign, header: str, value: str, reason: str) -> None:
    with pytest.raises(BadSignature, match=reason):
        verify(source, sign(BODY) | {header: value})


def test_an_old_timestamp_is_refused_where_one_is_signed() -> None:
    late = NOW + timedelta(minutes=5, seconds=1)
    with pytest.raises(BadSignature, match="timestamp_too_old"):
        SENDERS["GENERIC"].verify(standard(BODY), BODY, [SECRET], late)


@pytest.mark.parametrize(
    ("source", "event", "kept"), [("GITHUB", "coffee", "coffee"), ("GENERIC", None, "coffee.brewed")]
)
def test_an_unknown_event_is_kept_by_its_name_and_records_nothing(source: str, event: str | None, kept: str) -> None:
    parsed = SENDERS[source].parse(Delivery(event, {}, BODY))
    assert parsed.event_type == f"{source.lower()}.{kept}"
    assert (parsed.trail, parsed.attestations) == (None, ())


@pytest.mark.parametrize("source", sorted(SENDERS))
def test_a_sender_is_listed_under_its_name_and_keeps_no_secret(source: str) -> None:
    sender = SENDERS[source]
    assert sender.source == source == source.upper()
    assert not [name for name in sender.kept_headers if "signature" in name or "auth" in name or name != name.lower()]
    assert sender.validate_on_accept == (source == "GENERIC")


def test_the_list_is_complete_and_closed() -> None:
    assert set(SENDERS) == {"GITHUB", "GENERIC"}
    with pytest.raises(TypeError):
        SENDERS["EVIL"] = SENDERS["GITHUB"]  # type: ignore[index]
