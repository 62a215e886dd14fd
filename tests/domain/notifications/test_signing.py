"""Signing secrets: what is taken, in which form they are kept."""

from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from domain.errors import Invalid
from domain.notifications.signing import checked_secret, written_secret


@given(st.binary(min_size=24, max_size=64))
def test_a_secret_is_kept_in_one_form(key: bytes) -> None:
    text = b64encode(key).decode()
    assert written_secret(key) == f"whsec_{text}"
    assert checked_secret(text, "secret") == checked_secret(f"whsec_{text}", "secret") == written_secret(key)


def test_the_form_is_that_of_the_standard() -> None:
    """The library of Standard Webhooks signs and verifies with it."""
    webhook, body = Webhook(written_secret(bytes(range(32)))), '{"type": "attestation.failed"}'
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "m",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": webhook.sign("m", now, body),
    }
    assert webhook.verify(body, headers) == {"type": "attestation.failed"}


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "hunter2",
        "x" * 40 + "!",
        "ä" * 40,
        b64encode(b"x" * 23).decode(),
        b64encode(b"x" * 65).decode(),
        b64encode(b"x" * 25).decode().rstrip("="),
        f"whsec_whsec_{b64encode(b'x' * 32).decode()}",
        f" {b64encode(b'x' * 32).decode()}",
        None,
        5,
        ["whsec_"],
    ],
)
def test_what_is_no_secret_is_named_and_not_quoted(secret: Any) -> None:
    with pytest.raises(Invalid) as caught:
        checked_secret(secret, "channelConfig.secret")
    [detail] = caught.value.details
    assert detail.field == "channelConfig.secret"
    assert detail.message == "must be whsec_ followed by the base64 of 24 to 64 bytes"
