"""GitHub's proof: which headers count, and what names the delivery."""

from collections.abc import Mapping
from datetime import UTC, datetime
from hmac import digest

import pytest

from integrations.contract import BadDelivery, BadSignature
from integrations.github.verify import verify

SECRET = "It's a Secret to Everybody"
BODY = b"Hello, World!"
SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
NOW = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
HEADERS = {
    "x-hub-signature-256": SIGNATURE,
    "x-github-event": "workflow_run",
    "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
}


def without(*names: str, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in HEADERS.items() if name not in names}
    return kept | {name.replace("_", "-"): value for name, value in more.items()}


def refusal(headers: Mapping[str, str]) -> str:
    with pytest.raises(BadSignature) as refused:
        verify(headers, BODY, [SECRET], NOW)
    return refused.value.reason


def test_a_delivery_as_github_sends_it() -> None:
    verified = verify(HEADERS, BODY, ["rotated", SECRET], NOW)
    assert verified.delivery_id == "72d3162e-cc78-11e3-81ab-4c9367dc0958"
    assert verified.event == "workflow_run"


def test_the_older_header_of_this_api_is_read_as_well() -> None:
    headers = without("x-hub-signature-256", x_webhook_signature=SIGNATURE)
    assert verify(headers, BODY, [SECRET], NOW).event == "workflow_run"


def test_the_older_header_does_not_rescue_a_bad_signature() -> None:
    headers = without(x_hub_signature_256="sha256=" + "0" * 64, x_webhook_signature=SIGNATURE)
    assert refusal(headers) == "signature_mismatch"


def test_sha1_is_never_enough() -> None:
    sha1 = "sha1=" + digest(SECRET.encode(), BODY, "sha1").hex()
    assert refusal(without("x-hub-signature-256", x_hub_signature=sha1)) == "signature_missing"
    assert refusal(without(x_hub_signature_256=sha1)) == "signature_malformed"


def test_the_delivery_id_of_other_senders() -> None:
    headers = without("x-github-delivery", x_delivery_id="mine-1")
    assert verify(headers, BODY, [SECRET], NOW).delivery_id == "mine-1"
    assert verify(headers | HEADERS, BODY, [SECRET], NOW).delivery_id == HEADERS["x-github-delivery"]


def test_without_ids_the_body_is_its_own_for_a_while() -> None:
    headers = without("x-github-delivery")
    assert verify(headers, BODY, [SECRET], NOW).delivery_id.startswith("sha256:dffd6021bb2bd5b0af676290809ec3a5")


@pytest.mark.parametrize("name", ["x-github-event", "x-github-delivery"])
@pytest.mark.parametrize("value", ["x" * 256, "push\x00", "é"])
def test_unstorable_headers_are_named(name: str, value: str) -> None:
    with pytest.raises(BadDelivery, match=name) as refused:
        verify(HEADERS | {name: value}, BODY, [SECRET], NOW)
    assert refused.value.field == name


def test_strangers_learn_nothing_about_headers() -> None:
    headers = without(x_hub_signature_256="sha256=" + "0" * 64, x_github_delivery="é", x_github_event="\x00")
    assert refusal(headers) == "signature_mismatch"


def test_the_event_may_be_missing() -> None:
    assert verify(without("x-github-event"), BODY, [SECRET], NOW).event is None
