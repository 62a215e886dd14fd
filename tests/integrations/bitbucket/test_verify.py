"""Bitbucket's proof: which headers count, and what names the delivery."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hmac import digest

import pytest

from integrations.bitbucket.verify import verify
from integrations.contract import BadDelivery, BadSignature, SenderProof

SECRET = "It's a Secret to Everybody"
BODY = b"Hello World!"
SIGNATURE = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"
"""The example of Atlassian's "Manage webhooks"."""
NOW = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
UUID = "f2c1e7ab-54d0-43f8-8e1d-2c3b4a596877"
HEADERS = {
    "x-hub-signature": SIGNATURE,
    "x-event-key": "repo:push",
    "x-request-uuid": UUID,
    "x-hook-uuid": "0e1f2a3b-1111-4222-8333-444455556666",
    "x-attempt-number": "1",
}


def without(*names: str, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in HEADERS.items() if name not in names}
    return kept | {name.replace("_", "-"): value for name, value in more.items()}


def refusal(headers: Mapping[str, str], body: bytes = BODY, secrets: tuple[str, ...] = (SECRET,)) -> str:
    with pytest.raises(BadSignature) as refused:
        verify(headers, body, secrets, NOW)
    return refused.value.reason


def test_a_delivery_as_bitbucket_sends_it() -> None:
    verified = verify(HEADERS, BODY, ["rotated", SECRET], NOW)
    assert (verified.delivery_id, verified.event, verified.proof) == (UUID, "repo:push", SenderProof.SIGNED)


def test_a_second_attempt_is_the_same_delivery() -> None:
    assert verify(without(x_attempt_number="2"), BODY, [SECRET], NOW) == verify(HEADERS, BODY, [SECRET], NOW)


def test_a_delivery_as_data_center_sends_it() -> None:
    headers = without("x-request-uuid", "x-hook-uuid", "x-attempt-number", x_request_id="0b5d-9d7e")
    verified = verify(headers | {"x-event-key": "pr:reviewer:approved"}, BODY, [SECRET], NOW)
    assert (verified.delivery_id, verified.event) == ("0b5d-9d7e", "pr:reviewer:approved")


def test_a_proxys_request_id_does_not_replace_bitbuckets_own() -> None:
    assert verify(without(x_request_id="of-a-proxy"), BODY, [SECRET], NOW).delivery_id == UUID


def test_without_ids_the_body_is_its_own_for_a_while() -> None:
    assert verify(without("x-request-uuid"), BODY, [SECRET], NOW).delivery_id.startswith("sha256:7f83b1657ff1fc53b92dc")


@pytest.mark.parametrize(
    "value",
    [
        "sha1=" + digest(SECRET.encode(), BODY, "sha1").hex(),
        "sha1=" + SIGNATURE.removeprefix("sha256="),
        "sha512=" + digest(SECRET.encode(), BODY, "sha512").hex(),
        SIGNATURE[:-1],
        SIGNATURE + "0",
        "sha256=",
        "sha256",
    ],
)
def test_only_sha_256_counts_under_the_header_where_github_puts_sha_1(value: str) -> None:
    assert refusal(HEADERS | {"x-hub-signature": value}) == "signature_malformed"


def test_githubs_header_is_not_bitbuckets() -> None:
    assert refusal(without("x-hub-signature", x_hub_signature_256=SIGNATURE)) == "signature_missing"


def test_a_tampered_body_and_a_wrong_secret_are_refused() -> None:
    assert refusal(HEADERS, BODY + b"!") == "signature_mismatch"
    assert refusal(HEADERS, secrets=("It's a Secret to Nobody", "")) == "signature_mismatch"


@pytest.mark.parametrize("name", ["x-event-key", "x-request-uuid"])
@pytest.mark.parametrize("value", ["x" * 256, "push\x00", "é"])
def test_unstorable_headers_are_named(name: str, value: str) -> None:
    with pytest.raises(BadDelivery, match=name) as refused:
        verify(HEADERS | {name: value}, BODY, [SECRET], NOW)
    assert refused.value.field == name


@pytest.mark.parametrize("key", ["", "Repo:Push", "repo push", ":", "repo:", "a:b:c:d:e"])
def test_what_is_no_event_key_is_refused(key: str) -> None:
    with pytest.raises(BadDelivery, match="x-event-key"):
        verify(HEADERS | {"x-event-key": key}, BODY, [SECRET], NOW)


def test_every_delivery_says_which_event_it_is() -> None:
    with pytest.raises(BadDelivery, match="x-event-key"):
        verify(without("x-event-key"), BODY, [SECRET], NOW)


def test_strangers_learn_nothing_about_headers() -> None:
    headers = without(x_hub_signature="sha256=" + "0" * 64, x_request_uuid="é", x_event_key="\x00")
    assert refusal(headers) == "signature_mismatch"
