"""Signature checks against published vectors, the standardwebhooks library, and whatever a stranger may send."""

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import digest
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from integrations.contract import BadSignature
from integrations.signatures import TOLERANCE, check_body_hmac, check_standard_webhook, check_token

# GitHub, "Validating webhook deliveries"
GITHUB_SECRET = "It's a Secret to Everybody"
GITHUB_BODY = b"Hello, World!"
GITHUB_HEX = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

# Standard Webhooks, specification
SW_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SW_BODY = b'{"test": 2432232314}'
SW_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
SW_TIME = 1614265330
SW_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
SW_HEADERS = {"webhook-id": SW_ID, "webhook-timestamp": str(SW_TIME), "webhook-signature": SW_SIGNATURE}
SW_NOW = datetime.fromtimestamp(SW_TIME, UTC)

any_header = st.text(max_size=80) | st.text("0123456789abcdefABCDEF=sha256v1,. +/", max_size=100)


def reason(check: Callable[[], object]) -> str:
    with pytest.raises(BadSignature) as refused:
        check()
    return refused.value.reason


def hex_reason(header: str | None, body: bytes = GITHUB_BODY, *secrets: str) -> str:
    return reason(lambda: check_body_hmac(header, body, secrets or (GITHUB_SECRET,)))


def sw_reason(body: bytes = SW_BODY, secret: str = SW_SECRET, now: datetime = SW_NOW, **headers: str | None) -> str:
    merged = SW_HEADERS | {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {name: value for name, value in merged.items() if value is not None}
    return reason(lambda: check_standard_webhook(sent, body, [secret], now))


class TestBodyHmac:
    @pytest.mark.parametrize("header", [GITHUB_HEX, f"sha256={GITHUB_HEX}", GITHUB_HEX.upper()])
    def test_the_published_vector(self, header: str) -> None:
        check_body_hmac(header, GITHUB_BODY, [GITHUB_SECRET])

    @pytest.mark.parametrize("secrets", [("new", GITHUB_SECRET), (GITHUB_SECRET, "new"), (GITHUB_SECRET, "")])
    def test_any_of_the_secrets_will_do(self, secrets: tuple[str, ...]) -> None:
        check_body_hmac(GITHUB_HEX, GITHUB_BODY, secrets)

    @given(st.binary(max_size=200), st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=3))
    def test_what_is_signed_with_the_last_secret_holds(self, body: bytes, secrets: list[str]) -> None:
        check_body_hmac(digest(secrets[-1].encode(), body, "sha256").hex(), body, secrets)

    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            (None, "signature_missing"),
            ("", "signature_missing"),
            ("é" * 64, "header_not_ascii"),
            ("a" * 1025, "header_oversize"),
            (GITHUB_HEX[:-1], "signature_malformed"),
            (GITHUB_HEX + "0", "signature_malformed"),
            (GITHUB_HEX[:-1] + " ", "signature_malformed"),
            (GITHUB_HEX + "\n", "signature_malformed"),
            ("sha1=" + "a" * 40, "signature_malformed"),
            ("sha256=sha256=" + GITHUB_HEX, "signature_malformed"),
            ("0" * 64, "signature_mismatch"),
        ],
    )
    def test_each_refusal_has_its_reason(self, header: str | None, expected: str) -> None:
        assert hex_reason(header) == expected

    def test_tampered_body_and_wrong_secret(self) -> None:
        assert hex_reason(GITHUB_HEX, GITHUB_BODY + b" ") == "signature_mismatch"
        assert hex_reason(GITHUB_HEX, GITHUB_BODY, "it's a Secret to Everybody") == "signature_mismatch"

    def test_nobody_signs_with_the_empty_secret(self) -> None:
        assert hex_reason(digest(b"", GITHUB_BODY, "sha256").hex(), GITHUB_BODY, "") == "signature_mismatch"

    @given(any_header)
    def test_no_header_does_worse_than_being_refused(self, header: str) -> None:
        hex_reason(header)


class TestStandardWebhooks:
    def test_the_published_vector(self) -> None:
        assert check_standard_webhook(SW_HEADERS, SW_BODY, [SW_SECRET], SW_NOW) == SW_ID

    @pytest.mark.parametrize("secret", ["whsec_c2VjcmV0cw==", "whsec_c2VjcmV0cw", "c2VjcmV0cw"])
    def test_padding_of_the_secret_is_optional(self, secret: str) -> None:
        headers = SW_HEADERS | {"webhook-signature": Webhook(b"secrets").sign(SW_ID, SW_NOW, SW_BODY.decode())}
        assert check_standard_webhook(headers, SW_BODY, [secret], SW_NOW) == SW_ID

    @given(
        st.binary(min_size=1, max_size=64),
        st.text("!#$%&'()*+-/0123456789:;<=>?@ABC_abc~", min_size=1, max_size=60),
        st.text(st.characters(codec="utf-8"), max_size=100),
        st.sampled_from(["", "whsec_"]),
    )
    def test_what_the_library_signs_holds(self, key: bytes, message_id: str, body: str, prefix: str) -> None:
        secret = prefix + b64encode(key).decode()
        headers = SW_HEADERS | {
            "webhook-id": message_id,
            "webhook-signature": Webhook(secret).sign(message_id, SW_NOW, body),
        }
        assert check_standard_webhook(headers, body.encode(), ["other", secret], SW_NOW) == message_id

    @pytest.mark.parametrize("secret", ["correct horse battery staple", "abcd", "ünicode", "whsec_not base64!"])
    def test_a_typed_secret_is_the_key_as_it_stands(self, secret: str) -> None:
        signed = digest(secret.encode(), f"{SW_ID}.{SW_TIME}.".encode() + SW_BODY, "sha256")
        headers = SW_HEADERS | {"webhook-signature": "v1," + b64encode(signed).decode()}
        assert check_standard_webhook(headers, SW_BODY, [secret], SW_NOW) == SW_ID

    def test_a_prefixed_secret_is_never_the_key_as_it_stands(self) -> None:
        signed = digest(SW_SECRET.encode(), f"{SW_ID}.{SW_TIME}.".encode() + SW_BODY, "sha256")
        assert sw_reason(webhook_signature="v1," + b64encode(signed).decode()) == "signature_mismatch"

    @pytest.mark.parametrize(
        "signatures",
        [
            f"v1,{b64encode(bytes(32)).decode()} {SW_SIGNATURE}",
            f"{SW_SIGNATURE} v1,{b64encode(bytes(32)).decode()}",
            f"v1a,{b64encode(bytes(64)).decode()} {SW_SIGNATURE} v2 v1,!! v1, ,",
        ],
    )
    def test_one_good_signature_in_the_list_is_enough(self, signatures: str) -> None:
        headers = SW_HEADERS | {"webhook-signature": signatures}
        assert check_standard_webhook(headers, SW_BODY, [SW_SECRET], SW_NOW) == SW_ID

    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({"webhook_id": None}, "id_missing"),
            ({"webhook_timestamp": None}, "timestamp_missing"),
            ({"webhook_signature": None}, "signature_missing"),
            ({"webhook_signature": ""}, "signature_missing"),
            ({"webhook_id": "msg.1"}, "id_malformed"),
            ({"webhook_id": "msg 1"}, "id_malformed"),
            ({"webhook_id": "m" * 256}, "id_malformed"),
            ({"webhook_id": "m" * 1025}, "header_oversize"),
            ({"webhook_id": "mög"}, "header_not_ascii"),
            ({"webhook_timestamp": "soon"}, "timestamp_malformed"),
            ({"webhook_timestamp": "-1"}, "timestamp_malformed"),
            ({"webhook_timestamp": "1614265330.0"}, "timestamp_malformed"),
            ({"webhook_timestamp": "9" * 400}, "timestamp_malformed"),
            ({"webhook_timestamp": "1" * 1025}, "header_oversize"),
            ({"webhook_timestamp": "٣" * 10}, "header_not_ascii"),
            ({"webhook_signature": "v1," + "A" * 1022}, "header_oversize"),
            ({"webhook_signature": "v1,é"}, "header_not_ascii"),
            ({"webhook_signature": SW_SIGNATURE[3:]}, "signature_malformed"),
            ({"webhook_signature": "v2" + SW_SIGNATURE[2:]}, "signature_malformed"),
            ({"webhook_signature": "v1a" + SW_SIGNATURE[2:]}, "signature_malformed"),
            ({"webhook_signature": SW_SIGNATURE[:-6]}, "signature_malformed"),
            ({"webhook_signature": "v1," + b64encode(bytes(32)).decode()}, "signature_mismatch"),
            ({"webhook_id": "msg_other"}, "signature_mismatch"),
            ({"webhook_timestamp": str(SW_TIME + 1)}, "signature_mismatch"),
        ],
    )
    def test_each_refusal_has_its_reason(self, headers: dict[str, Any], expected: str) -> None:
        assert sw_reason(**headers) == expected

    def test_tampered_body_and_wrong_secret(self) -> None:
        assert sw_reason(body=SW_BODY + b" ") == "signature_mismatch"
        assert sw_reason(secret="whsec_" + b64encode(b"other").decode()) == "signature_mismatch"

    @pytest.mark.parametrize("off", [-TOLERANCE, timedelta(0), TOLERANCE])
    def test_five_minutes_either_way_are_tolerated(self, off: timedelta) -> None:
        assert check_standard_webhook(SW_HEADERS, SW_BODY, [SW_SECRET], SW_NOW + off) == SW_ID

    def test_beyond_five_minutes_the_signature_is_worth_nothing(self) -> None:
        moment = timedelta(milliseconds=1)
        assert sw_reason(now=SW_NOW + TOLERANCE + moment) == "timestamp_too_old"
        assert sw_reason(now=SW_NOW - TOLERANCE - moment) == "timestamp_too_new"

    @pytest.mark.parametrize("secret", ["whsec_", "whsec_====", ""])
    def test_nobody_signs_with_an_empty_key(self, secret: str) -> None:
        signed = digest(b"", f"{SW_ID}.{SW_TIME}.".encode() + SW_BODY, "sha256")
        assert sw_reason(secret=secret, webhook_signature="v1," + b64encode(signed).decode()) == "signature_mismatch"

    @given(st.dictionaries(st.sampled_from(sorted(SW_HEADERS)), any_header, min_size=1))
    def test_no_header_does_worse_than_being_refused(self, headers: dict[str, str]) -> None:
        sent = SW_HEADERS | headers
        if sent != SW_HEADERS:
            reason(lambda: check_standard_webhook(sent, SW_BODY, [SW_SECRET], SW_NOW))


TOKEN = "correct horse battery staple"


def token_reason(header: str | None, *secrets: str) -> str:
    return reason(lambda: check_token(header, secrets or (TOKEN,)))


class TestToken:
    @pytest.mark.parametrize("secrets", [(TOKEN,), ("new", TOKEN), (TOKEN, "new"), (TOKEN, SW_SECRET, "", "ünicode")])
    def test_any_of_the_secrets_will_do(self, secrets: tuple[str, ...]) -> None:
        check_token(TOKEN, secrets)

    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            (None, "token_missing"),
            ("", "token_missing"),
            ("é" * 8, "header_not_ascii"),
            ("\udce9", "header_not_ascii"),
            ("a" * 1025, "header_oversize"),
            (TOKEN[:-1], "token_mismatch"),
            (TOKEN + " ", "token_mismatch"),
            (TOKEN.upper(), "token_mismatch"),
            ("\0", "token_mismatch"),
        ],
    )
    def test_each_refusal_has_its_reason(self, header: str | None, expected: str) -> None:
        assert token_reason(header) == expected

    @pytest.mark.parametrize("secret", [SW_SECRET, "whsec_", "whsec_not base64!"])
    def test_a_secret_that_signs_is_never_a_token(self, secret: str) -> None:
        assert token_reason(secret, secret, TOKEN) == "token_mismatch"
        assert token_reason(secret.removeprefix("whsec_") or "whsec_", secret, TOKEN) == "token_mismatch"

    def test_the_empty_secret_opens_nothing(self) -> None:
        assert token_reason("", "", TOKEN) == "token_missing"
        assert token_reason("whatever", "") == "token_mismatch"

    @given(st.text("!#$%&'()*+,-./:;<=>?@AZaz09", min_size=1, max_size=60), st.lists(st.text(max_size=8), max_size=3))
    def test_exactly_the_configured_token_holds(self, token: str, others: list[str]) -> None:
        check_token(token, [*others, token])
        if token not in others:
            assert token_reason(token, *others, "never") == "token_mismatch"

    @given(any_header)
    def test_no_header_does_worse_than_being_refused(self, header: str) -> None:
        token_reason(header)


def test_vectors_agree_with_plain_hashing() -> None:
    """The constants above are what their documents say, not what our code made of them."""
    assert digest(GITHUB_SECRET.encode(), GITHUB_BODY, sha256).hex() == GITHUB_HEX
    assert Webhook(SW_SECRET).sign(SW_ID, SW_NOW, SW_BODY.decode()) == SW_SIGNATURE
