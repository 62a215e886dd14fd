"""Azure DevOps' proof: a secret in clear, in one of two headers, and the id in the body."""

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.azure_devops.verify import verify
from integrations.contract import BadDelivery, BadSignature, SenderProof

NOW = datetime(2026, 3, 3, 10, 0, tzinfo=UTC)
SECRET = "open sesame"
ALADDIN = {"authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}
"""The example of RFC 7617 section 2: user `Aladdin`, password `open sesame`."""
TOKEN = {"x-trailgate-token": SECRET}
ID = "33433986-7f56-4969-bfd4-3e59774c75ad"
BODY = json.dumps({"subscriptionId": "4f6e6328", "notificationId": 12, "id": ID, "eventType": "git.push"}).encode()


def basic(credentials: bytes, scheme: str = "Basic") -> dict[str, str]:
    return {"authorization": f"{scheme} {b64encode(credentials).decode()}"}


def refusal(headers: Mapping[str, str], secrets: tuple[str, ...] = (SECRET,)) -> str:
    with pytest.raises(BadSignature) as refused:
        verify(headers, BODY, secrets, NOW)
    return refused.value.reason


@pytest.mark.parametrize("headers", [ALADDIN, TOKEN])
def test_a_delivery_as_azure_devops_sends_it(headers: dict[str, str]) -> None:
    verified = verify(headers, BODY, ["rotated", SECRET], NOW)
    assert (verified.delivery_id, verified.event, verified.proof) == (ID, None, SenderProof.TOKEN)


@pytest.mark.parametrize(
    "headers",
    [
        basic(b":open sesame"),
        basic(b"anybody at all:open sesame"),
        basic("Zoë:open sesame".encode()),
        basic(b"Aladdin:open sesame", "basic"),
        basic(b"Aladdin:open sesame", "BASIC "),
    ],
)
def test_any_user_name_goes_with_the_password(headers: dict[str, str]) -> None:
    assert verify(headers, BODY, [SECRET], NOW).delivery_id == ID


def test_a_password_may_hold_colons() -> None:
    assert verify(basic(b"Aladdin:open:sesame:"), BODY, ["open:sesame:"], NOW).delivery_id == ID


def test_a_failed_token_is_final() -> None:
    assert refusal(ALADDIN | {"x-trailgate-token": "another"}) == "token_mismatch"
    assert verify(ALADDIN | {"x-trailgate-token": ""}, BODY, [SECRET], NOW).delivery_id == ID


def test_another_attempt_or_subscription_is_the_same_event() -> None:
    again = json.loads(BODY) | {"notificationId": 13, "subscriptionId": "another"}
    assert verify(TOKEN, json.dumps(again).encode(), [SECRET], NOW) == verify(TOKEN, BODY, [SECRET], NOW)


def test_a_changed_body_is_not_noticed() -> None:
    """Nothing signs it: that is what Proof.TOKEN says."""
    changed = json.loads(BODY) | {"resource": {"status": "succeeded"}}
    assert verify(TOKEN, json.dumps(changed).encode(), [SECRET], NOW).proof is SenderProof.TOKEN


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "token_missing"),
        ({"authorization": ""}, "token_missing"),
        (basic(b"Aladdin:"), "token_missing"),
        (basic(b"open sesame"), "token_missing"),
        (basic(b"open sesame:Aladdin"), "token_mismatch"),
        (basic(b"Aladdin:open sesam"), "token_mismatch"),
        (basic(b"Aladdin:open sesame\0"), "token_mismatch"),
        (basic("Aladdin:öpen sesame".encode()), "header_not_ascii"),
        (basic(b"Aladdin:\xff"), "authorization_malformed"),
        (basic(b"Aladdin:open sesame", "Bearer"), "authorization_malformed"),
        ({"authorization": "Bearer open sesame"}, "authorization_malformed"),
        ({"authorization": "open sesame"}, "authorization_malformed"),
        ({"authorization": "Basic"}, "authorization_malformed"),
        ({"authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ"}, "authorization_malformed"),
        ({"authorization": "Basic QWxh ZGRp"}, "authorization_malformed"),
        ({"authorization": "Basic é"}, "header_not_ascii"),
        ({"authorization": "Basic " + "QUJD" * 300}, "header_oversize"),
        ({"x-trailgate-token": "é"}, "header_not_ascii"),
        ({"x-trailgate-token": "a" * 1025}, "header_oversize"),
        ({"x-trailgate-token": SECRET + " "}, "token_mismatch"),
    ],
)
def test_every_refusal_has_its_reason(headers: dict[str, str], reason: str) -> None:
    assert refusal(headers) == reason


def test_a_signing_secret_is_no_password() -> None:
    assert refusal(basic(b"Aladdin:whsec_b3Blbg=="), ("whsec_b3Blbg==",)) == "token_mismatch"


def test_strangers_learn_nothing_about_bodies() -> None:
    with pytest.raises(BadSignature):
        verify({"x-trailgate-token": "another"}, b"no notification", [SECRET], NOW)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", ""),
        (b"[]", ""),
        (b"{}", "eventType"),
        (b'{"eventType": "git.push"}', "id"),
        (b'{"eventType": "git.push", "id": null}', "id"),
        (b'{"eventType": "git.push", "id": 7}', "id"),
        (b'{"eventType": "git.push", "id": ""}', "id"),
        (b'{"eventType": "git.push", "id": "\\u00e9"}', "id"),
        (b'{"eventType": "git.push", "id": "a\\n"}', "id"),
        (b'{"eventType": "git.push", "id": "%s"}' % (b"a" * 256), "id"),
        (b'{"eventType": "git push", "id": "a"}', "eventType"),
        (b'{"eventType": "%s", "id": "a"}' % (b"a" * 129), "eventType"),
    ],
)
def test_a_body_without_what_names_the_delivery_is_refused(body: bytes, field: str) -> None:
    with pytest.raises(BadDelivery) as refused:
        verify(TOKEN, body, [SECRET], NOW)
    assert refused.value.field == field


@given(st.text(max_size=60) | st.binary(max_size=45).map(lambda raw: "Basic " + b64encode(raw).decode()))
def test_no_authorization_does_worse_than_being_refused(authorization: str) -> None:
    with pytest.raises(BadSignature):
        verify({"authorization": authorization}, BODY, [SECRET], NOW)
