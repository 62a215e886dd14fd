"""GitLab's proofs: which of the three counts, what kind of proof it is, and what names the delivery."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import digest

import pytest
from standardwebhooks import Webhook

from integrations.contract import BadDelivery, BadSignature, SenderProof
from integrations.gitlab.verify import verify

TOKEN = "alpine-route-7"
SIGNING_TOKEN = "whsec_" + b64encode(b"thirty-two bytes make a good key").decode()
BODY = b'{"object_kind":"pipeline"}'
NOW = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
ID = "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"
PLAIN = {
    "user-agent": "GitLab/18.9.0",
    "idempotency-key": ID,
    "x-gitlab-event": "Pipeline Hook",
    "x-gitlab-webhook-uuid": "02affd2d-2cba-4033-917d-ec22d5dc4b38",
    "x-gitlab-event-uuid": "13792a34-cac6-4fda-95a8-c58e00a3954e",
    "x-gitlab-instance": "https://git.alpenfracht.example",
}
WITH_TOKEN = PLAIN | {"x-gitlab-token": TOKEN}
SIGNED = PLAIN | {
    "webhook-id": ID,
    "webhook-timestamp": str(int(NOW.timestamp())),
    "webhook-signature": Webhook(SIGNING_TOKEN).sign(ID, NOW, BODY.decode()),
}
OLDER = {"x-hub-signature-256": "sha256=" + digest(TOKEN.encode(), BODY, "sha256").hex(), "x-delivery-id": "mine-1"}


def without(headers: Mapping[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in names}


def refusal(
    headers: Mapping[str, str], secrets: Sequence[str] = (TOKEN, SIGNING_TOKEN), now: datetime = NOW, body: bytes = BODY
) -> str:
    with pytest.raises(BadSignature) as refused:
        verify(headers, body, secrets, now)
    return refused.value.reason


def test_a_delivery_with_a_secret_token() -> None:
    verified = verify(WITH_TOKEN, BODY, ["rotated", TOKEN], NOW)
    assert (verified.delivery_id, verified.event, verified.proof) == (ID, "Pipeline Hook", SenderProof.TOKEN)


def test_a_delivery_with_a_signing_token() -> None:
    verified = verify(SIGNED, BODY, [TOKEN, SIGNING_TOKEN], NOW)
    assert (verified.delivery_id, verified.event, verified.proof) == (ID, "Pipeline Hook", SenderProof.SIGNED)


def test_the_signature_is_what_gitlab_computes() -> None:
    """GitLab signs `<webhook-id>.<webhook-timestamp>.<body>` with the decoded part of `whsec_…`."""
    signed = f"{ID}.{int(NOW.timestamp())}.".encode() + BODY
    signature = b64encode(digest(b"thirty-two bytes make a good key", signed, sha256)).decode()
    assert SIGNED["webhook-signature"] == f"v1,{signature}"


def test_a_delivery_of_the_older_api() -> None:
    verified = verify(OLDER, BODY, [TOKEN], NOW)
    assert (verified.delivery_id, verified.event, verified.proof) == ("mine-1", None, SenderProof.SIGNED)
    older_name = {"x-webhook-signature": OLDER["x-hub-signature-256"]}
    assert verify(older_name, BODY, [TOKEN], NOW).proof is SenderProof.SIGNED


@pytest.mark.parametrize("signature", [Webhook(SIGNING_TOKEN).sign(ID, NOW, "{}"), "v1,", "v2,AA==", "", "é"])
def test_a_token_does_not_rescue_a_bad_signature(signature: str) -> None:
    headers = SIGNED | {"x-gitlab-token": TOKEN, "webhook-signature": signature}
    assert refusal(headers) in {
        "signature_mismatch",
        "signature_malformed",
        "signature_missing",
        "header_not_ascii",
    }


def test_an_hmac_does_not_rescue_a_bad_token() -> None:
    assert refusal(OLDER | {"x-gitlab-token": "guessed"}) == "token_mismatch"


def test_a_signing_token_is_never_accepted_in_clear() -> None:
    assert refusal(PLAIN | {"x-gitlab-token": SIGNING_TOKEN}) == "token_mismatch"
    assert refusal(PLAIN | {"x-gitlab-token": SIGNING_TOKEN}, [SIGNING_TOKEN]) == "token_mismatch"


def test_what_is_signed_cannot_be_changed() -> None:
    assert refusal(SIGNED, body=BODY + b" ") == "signature_mismatch"
    assert refusal(SIGNED | {"webhook-id": "another"}) == "signature_mismatch"
    assert refusal(SIGNED, now=NOW + timedelta(minutes=5, seconds=1)) == "timestamp_too_old"
    assert refusal(SIGNED, now=NOW - timedelta(minutes=5, seconds=1)) == "timestamp_too_new"


def test_without_any_proof_it_is_refused() -> None:
    assert refusal(PLAIN) == "signature_missing"
    assert refusal(PLAIN | {"x-gitlab-token": ""}) == "signature_missing"


@pytest.mark.parametrize(
    ("token", "reason"),
    [("guessed", "token_mismatch"), ("é" * 14, "header_not_ascii"), ("a" * 1025, "header_oversize")],
)
def test_tokens_made_to_break_us_are_refused(token: str, reason: str) -> None:
    assert refusal(PLAIN | {"x-gitlab-token": token}) == reason


def test_sent_again_it_has_the_same_id() -> None:
    """GitLab keeps `Idempotency-Key`, draws a new X-Gitlab-Webhook-UUID, and signs anew with the key as its id."""
    again = WITH_TOKEN | {"x-gitlab-webhook-uuid": "9d2c4f10-0000-4000-8000-2f6b1e0c7a55"}
    assert verify(again, BODY, [TOKEN], NOW + timedelta(hours=1)).delivery_id == ID
    later = NOW + timedelta(hours=1)
    timestamp = str(int(later.timestamp()))
    signature = Webhook(SIGNING_TOKEN).sign(ID, later, BODY.decode())
    resigned = SIGNED | {"webhook-timestamp": timestamp, "webhook-signature": signature}
    assert verify(resigned, BODY, [SIGNING_TOKEN], later).delivery_id == ID


def test_what_one_action_sets_off_stays_apart_in_older_gitlabs() -> None:
    """Before 17.4 there is no Idempotency-Key, and the events of one action share their X-Gitlab-Event-UUID."""
    headers = without(WITH_TOKEN, "idempotency-key")
    first, second = (verify(headers, body, [TOKEN], NOW).delivery_id for body in (b'{"id":1}', b'{"id":2}'))
    assert first != second
    assert verify(headers, b'{"id":1}', [TOKEN], NOW + timedelta(seconds=5)).delivery_id == first


@pytest.mark.parametrize("name", ["x-gitlab-event", "idempotency-key"])
@pytest.mark.parametrize("value", ["x" * 256, "Push Hook\x00", "é"])
def test_unstorable_headers_are_named(name: str, value: str) -> None:
    with pytest.raises(BadDelivery, match=name) as refused:
        verify(WITH_TOKEN | {name: value}, BODY, [TOKEN], NOW)
    assert refused.value.field == name


def test_strangers_learn_nothing_about_headers() -> None:
    headers = PLAIN | {"x-gitlab-token": "guessed", "x-gitlab-event": "\x00", "idempotency-key": "é"}
    assert refusal(headers) == "token_mismatch"


@pytest.mark.parametrize("headers", [WITH_TOKEN, SIGNED])
def test_the_event_may_be_missing(headers: dict[str, str]) -> None:
    assert verify(without(headers, "x-gitlab-event"), BODY, [TOKEN, SIGNING_TOKEN], NOW).event is None
