"""CircleCI's proof: which signature of the list counts, and what names the delivery."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hmac import digest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.circleci.verify import verify
from integrations.contract import BadDelivery, BadSignature, SenderProof
from tests.paths import ROOT

FIXTURES = ROOT / "tests" / "fixtures" / "circleci"
NOW = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
SECRET = "hunter123"
BODY = b'{"id": "3888f21b-eaa7-38e3-8f3d-75a63bba8895", "type": "workflow-completed"}'
OWN = b'{"eventType": "build.started"}'

# CircleCI, "Outbound webhooks": example signatures for given request bodies
PUBLISHED = [
    (b"hello world", "secret", "734cc62f32841568f45715aeb9f4d7891324e6d948e4c6c60c0621cdac48623a"),
    (b"lalala", "another-secret", "daa220016c8f29a8b214fbfc3671aeec2145cfb1e6790184ffb38b6d0425fa00"),
    (
        b"an-important-request-payload",
        "hunter123",
        "9be2242094a9a8c00c64306f382a7f9d691de910b4a266f67bd314ef18ac49fa",
    ),
    (b"foo", "secret", "773ba44693c7553d6ee20f61ea5d2757a9a4f4a44d2841ae4e95b52e4cd62db4"),
]


def hex_of(body: bytes, secret: str = SECRET) -> str:
    return digest(secret.encode(), body, "sha256").hex()


def signed(body: bytes = BODY) -> dict[str, str]:
    return {"circleci-signature": f"v1={hex_of(body)}", "circleci-event-type": "workflow-completed"}


def refusal(headers: Mapping[str, str], body: bytes = BODY) -> str:
    with pytest.raises(BadSignature) as refused:
        verify(headers, body, [SECRET], NOW)
    return refused.value.reason


@pytest.mark.parametrize(("body", "secret", "signature"), PUBLISHED)
def test_the_published_vectors(body: bytes, secret: str, signature: str) -> None:
    """Their bodies are no JSON, so that what is refused after the signature shows that the signature held."""
    with pytest.raises(BadDelivery, match="JSON"):
        verify({"circleci-signature": f"v1={signature}"}, body, ["rotated", secret], NOW)
    assert refusal({"circleci-signature": f"v1={signature}"}, body + b" ") == "signature_mismatch"


def test_a_delivery_as_circleci_sends_it() -> None:
    verified = verify(signed(), BODY, ["rotated", SECRET], NOW)
    assert verified.delivery_id == "3888f21b-eaa7-38e3-8f3d-75a63bba8895"
    assert (verified.event, verified.proof) == ("workflow-completed", SenderProof.SIGNED)


def test_the_signed_body_names_the_event_and_the_unsigned_header_does_not() -> None:
    headers = signed() | {"circleci-event-type": "ping", "x-delivery-id": "mine"}
    assert verify(headers, BODY, [SECRET], NOW) == verify(signed(), BODY, [SECRET], NOW)
    assert verify({"circleci-signature": signed()["circleci-signature"]}, BODY, [SECRET], NOW).event is not None


@pytest.mark.parametrize("header", ["v1={good},v2=abc", "v2={bad},v1={good}", "v2=x, v1={good}", "v1={upper}"])
def test_version_1_is_found_in_the_list(header: str) -> None:
    good = hex_of(BODY)
    filled = header.format(good=good, bad="0" * 64, upper=good.upper())
    assert verify({"circleci-signature": filled}, BODY, [SECRET], NOW).event == "workflow-completed"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "signature_missing"),
        ("v1=", "signature_missing"),
        ("v1", "signature_malformed"),
        ("v2={good}", "signature_malformed"),
        ("v11={good}", "signature_malformed"),
        ("xv1={good}", "signature_malformed"),
        ("v1={bad},v2={good}", "signature_mismatch"),
        ("v1={bad},v1={good}", "signature_mismatch"),
        ("v1=é", "header_not_ascii"),
        ("v2=é", "header_not_ascii"),
        ("v1=" + "a" * 1025, "header_oversize"),
        ("v2=" + "a" * 1025, "header_oversize"),
    ],
)
def test_each_refusal_has_its_reason(header: str, reason: str) -> None:
    assert refusal({"circleci-signature": header.format(good=hex_of(BODY), bad="0" * 64)}) == reason


@given(st.text(max_size=80) | st.text("v1=2,0123456789abcdef ", max_size=100))
def test_no_header_does_worse_than_being_refused(header: str) -> None:
    refusal({"circleci-signature": header})


def test_another_proof_does_not_rescue_a_bad_signature() -> None:
    headers = {"circleci-signature": "v1=" + "0" * 64, "x-hub-signature-256": hex_of(BODY)}
    assert refusal(headers) == "signature_mismatch"
    assert refusal(headers | {"circleci-signature": ""}) == "signature_missing"


def test_deliveries_in_our_own_format_are_proven_as_such() -> None:
    headers = {"x-webhook-signature": hex_of(OWN), "x-delivery-id": "d-1"}
    verified = verify(headers, OWN, [SECRET], NOW)
    assert (verified.delivery_id, verified.event) == ("d-1", None)
    assert refusal(headers, OWN + b" ") == "signature_mismatch"
    assert refusal({}, OWN) == "signature_missing"


@pytest.mark.parametrize("name", sorted(path.stem for path in FIXTURES.glob("*completed__*.json")))
def test_a_redelivery_of_each_captured_payload_keeps_its_id(name: str) -> None:
    body = (FIXTURES / f"{name}.json").read_bytes()
    later = datetime(2026, 3, 4, tzinfo=UTC)
    first, again = verify(signed(body), body, [SECRET], NOW), verify(signed(body), body, [SECRET], later)
    assert first.delivery_id == again.delivery_id
    assert f'"{first.delivery_id}"'.encode() in body
    assert first.event == name.partition("__")[0]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"type": "ping"}', "id"),
        (b'{"id": "", "type": "ping"}', "id"),
        (b'{"id": 7, "type": "ping"}', "id"),
        (b'{"id": "\\u00e9", "type": "ping"}', "id"),
        (b'{"id": "a\\u0000", "type": "ping"}', "id"),
        (b'{"id": "%s", "type": "ping"}' % (b"x" * 256), "id"),
        (b'{"id": "d-1"}', "type"),
        (b'{"id": "d-1", "type": "Ping"}', "type"),
        (b'{"id": "d-1", "type": "no such event"}', "type"),
        (b'{"id": "d-1", "type": "%s"}' % (b"x" * 65), "type"),
        (b"[]", ""),
    ],
)
def test_what_cannot_be_stored_is_named_once_the_signature_holds(body: bytes, field: str) -> None:
    with pytest.raises(BadDelivery) as refused:
        verify(signed(body), body, [SECRET], NOW)
    assert refused.value.field == field
    assert refusal(signed(BODY), body) == "signature_mismatch"
