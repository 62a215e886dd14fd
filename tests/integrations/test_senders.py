"""The ten rules of senders, for every inbound sender (the specification's vectors: test_signatures.py).

Reconciling what a sender lost on the way needs its API and is not a matter of verify and parse.
"""

from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hmac import digest

import pytest

from integrations import SENDERS
from integrations.contract import BadDelivery, BadSignature, Delivery, SenderProof, Verified

NOW = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
SECRET = "a secret that somebody typed"
BODY = b'{"id": "d-1", "type": "coffee", "eventType": "coffee.brewed"}'


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


def circleci(body: bytes) -> dict[str, str]:
    return {"circleci-signature": "v1=" + digest(SECRET.encode(), body, "sha256").hex()}


def bitbucket(body: bytes) -> dict[str, str]:
    signature = "sha256=" + digest(SECRET.encode(), body, "sha256").hex()
    return {"x-hub-signature": signature, "x-event-key": "coffee", "x-request-uuid": "d-1"}


def gitlab_token(_body: bytes) -> dict[str, str]:
    return {"x-gitlab-token": SECRET, "idempotency-key": "d-1"}


def azure_devops_password(_body: bytes) -> dict[str, str]:
    return {"authorization": "Basic " + b64encode(f"any user:{SECRET}".encode()).decode()}


def azure_devops_token(_body: bytes) -> dict[str, str]:
    return {"x-trailgate-token": SECRET}


SIGNATURES = [
    pytest.param("GITHUB", body_hmac, "x-hub-signature-256", id="github"),
    pytest.param("GENERIC", body_hmac, "x-hub-signature-256", id="generic-hmac"),
    pytest.param("GENERIC", standard, "webhook-signature", id="generic-standard"),
    pytest.param("GITLAB", body_hmac, "x-hub-signature-256", id="gitlab-hmac"),
    pytest.param("GITLAB", standard, "webhook-signature", id="gitlab-standard"),
    pytest.param("JENKINS", body_hmac, "x-hub-signature-256", id="jenkins-hmac"),
    pytest.param("JENKINS", standard, "webhook-signature", id="jenkins-standard"),
    pytest.param("CIRCLECI", circleci, "circleci-signature", id="circleci"),
    pytest.param("BITBUCKET", bitbucket, "x-hub-signature", id="bitbucket"),
    pytest.param("CIRCLECI", body_hmac, "x-hub-signature-256", id="circleci-hmac"),
    pytest.param("CIRCLECI", standard, "webhook-signature", id="circleci-standard"),
]
TOKENS = [
    pytest.param("GITLAB", gitlab_token, "x-gitlab-token", id="gitlab-token"),
    pytest.param("AZURE_DEVOPS", azure_devops_password, "authorization", id="azure-devops-password"),
    pytest.param("AZURE_DEVOPS", azure_devops_token, "x-trailgate-token", id="azure-devops-token"),
]
Sign = Callable[[bytes], dict[str, str]]
each_signature = pytest.mark.parametrize(("source", "sign", "header"), SIGNATURES)
each_token = pytest.mark.parametrize(("source", "sign", "header"), TOKENS)
each_scheme = pytest.mark.parametrize(("source", "sign", "header"), SIGNATURES + TOKENS)


def verify(source: str, headers: dict[str, str], body: bytes = BODY, secret: str = SECRET) -> Verified:
    return SENDERS[source].verify(headers, body, [secret], NOW)


@each_scheme
def test_a_signed_delivery_is_accepted_and_its_duplicate_has_the_same_id(source: str, sign: Sign, header: str) -> None:
    assert verify(source, sign(BODY)).delivery_id == verify(source, sign(BODY)).delivery_id == "d-1"


@each_signature
def test_a_tampered_body_is_refused(source: str, sign: Sign, header: str) -> None:
    assert verify(source, sign(BODY)).proof is SenderProof.SIGNED
    with pytest.raises(BadSignature, match="signature_mismatch"):
        verify(source, sign(BODY), BODY + b" ")


@each_token
def test_a_token_says_nothing_of_the_body_and_is_known_as_such(source: str, sign: Sign, header: str) -> None:
    assert verify(source, sign(BODY), BODY + b" ").proof is SenderProof.TOKEN


@each_scheme
def test_a_wrong_secret_is_refused(source: str, sign: Sign, header: str) -> None:
    with pytest.raises(BadSignature, match=r"(signature|token)_mismatch"):
        verify(source, sign(BODY), secret="another")


@each_scheme
def test_a_missing_header_is_refused(source: str, sign: Sign, header: str) -> None:
    headers = sign(BODY)
    del headers[header]
    with pytest.raises(BadSignature, match=r"(signature|token)_missing"):
        verify(source, headers)


@each_scheme
@pytest.mark.parametrize(
    ("value", "reason"),
    [("sha256=" + "é" * 64, "header_not_ascii"), ("v1,é", "header_not_ascii"), ("a" * 1025, "header_oversize")],
)
def test_headers_made_to_break_us_are_refused(source: str, sign: Sign, header: str, value: str, reason: str) -> None:
    with pytest.raises(BadSignature, match=reason):
        verify(source, sign(BODY) | {header: value})


@each_scheme
def test_without_a_secret_the_headers_leave_one_thing_open(source: str, sign: Sign, header: str) -> None:
    """So that the receiver knows before it reads the body whether that could prove anything."""
    with pytest.raises(BadSignature, match=r"(signature|token)_mismatch"):
        SENDERS[source].verify(sign(BODY), b"", (), NOW)
    with pytest.raises(BadSignature, match="header_not_ascii"):
        SENDERS[source].verify(sign(BODY) | {header: "é"}, b"", (), NOW)


@each_token
def test_a_token_is_checked_before_the_body(source: str, sign: Sign, header: str) -> None:
    with pytest.raises(BadSignature, match="token_mismatch"):
        verify(source, sign(BODY), b"", secret="another")
    with suppress(BadDelivery):
        assert verify(source, sign(BODY), b"").proof is SenderProof.TOKEN


@pytest.mark.parametrize("source", ["GENERIC", "GITLAB", "JENKINS", "CIRCLECI"])
def test_an_old_timestamp_is_refused_where_one_is_signed(source: str) -> None:
    late = NOW + timedelta(minutes=5, seconds=1)
    with pytest.raises(BadSignature, match="timestamp_too_old"):
        SENDERS[source].verify(standard(BODY), BODY, [SECRET], late)


@pytest.mark.parametrize(
    ("source", "event", "body", "kept"),
    [
        ("GITHUB", "coffee", BODY, "coffee"),
        ("GENERIC", None, BODY, "coffee.brewed"),
        ("GITLAB", "Coffee Hook", b'{"object_kind": "coffee"}', "coffee"),
        ("JENKINS", None, b'{"name": "x", "url": "", "build": {"url": "", "number": 1, "phase": "COFFEE"}}', "coffee"),
        ("CIRCLECI", "coffee", BODY, "coffee"),
        ("BITBUCKET", "coffee", BODY, "coffee"),
        ("AZURE_DEVOPS", None, BODY, "coffee.brewed"),
    ],
)
def test_an_unknown_event_is_kept_by_its_name_and_records_nothing(
    source: str, event: str | None, body: bytes, kept: str
) -> None:
    parsed = SENDERS[source].parse(Delivery(event, {}, body))
    assert parsed.event_type == f"{source.lower()}.{kept}"
    assert (parsed.trail, parsed.attestations) == (None, ())


@pytest.mark.parametrize("source", ["GITLAB", "JENKINS", "CIRCLECI"])
def test_the_older_body_of_this_api_goes_on_working(source: str) -> None:
    """Several sources had the generic body before their own was read."""
    body = b'{"eventType": "build.succeeded", "gitCommitSha": "9f2c1e7ab54d"}'
    parsed = SENDERS[source].parse(Delivery(None, {}, body))
    assert parsed == SENDERS["GENERIC"].parse(Delivery(None, {}, body))
    assert [hint.status for hint in parsed.attestations] == ["PASSED"]


@pytest.mark.parametrize("source", sorted(SENDERS))
def test_a_sender_is_listed_under_its_name_and_keeps_no_secret(source: str) -> None:
    sender = SENDERS[source]
    assert sender.source == source == source.upper()
    secrets = ("signature", "token", "auth")
    assert not [name for name in sender.kept_headers if any(word in name for word in secrets) or name != name.lower()]
    assert sender.validate_on_accept == (source == "GENERIC")


def test_the_list_is_complete_and_closed() -> None:
    assert set(SENDERS) == {"GITHUB", "GENERIC", "GITLAB", "JENKINS", "CIRCLECI", "BITBUCKET", "AZURE_DEVOPS"}
    with pytest.raises(TypeError):
        SENDERS["EVIL"] = SENDERS["GITHUB"]  # type: ignore[index]
