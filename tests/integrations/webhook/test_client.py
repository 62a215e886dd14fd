import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hmac import digest

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from domain.retries import ErrorClass
from integrations.channels import ChannelTarget, Outgoing, SendFailed, SendResult
from integrations.contract import BadSignature
from integrations.signatures import check_standard_webhook
from integrations.webhook.client import MAX_BODY, WebhookClient, body_of, signed
from storage.outbound import open_outbound
from tests.integrations.messages import ATTESTATION, FLOW, MESSAGE, NOW, TRAIL, message
from tests.storage.receiving import LOCAL, Receiver, answering, receiving

NEW = "whsec_" + b64encode(b"n" * 32).decode()
OLD = "whsec_" + b64encode(b"o" * 24).decode()


async def send(receiver: Receiver, *secrets: str, told: Outgoing = MESSAGE, now: datetime = NOW) -> SendResult:
    async with open_outbound(LOCAL) as outbound:
        return await WebhookClient(outbound)(told, ChannelTarget({"webhookUrl": receiver.url}, secrets), now)


async def test_the_body_speaks_both_vocabularies() -> None:
    async with receiving() as receiver:
        assert await send(receiver, NEW) == SendResult(200, "ok")
    [(request, body)] = receiver.requests
    assert (request.method, request.path_qs) == ("POST", "/hook?token=hush")
    assert request.headers["Content-Type"] == "application/json"
    data = {"trailId": TRAIL, "attestation": "unit-tests"}
    assert json.loads(body) == {
        "type": "attestation.failed",
        "timestamp": "2026-03-04T05:06:05.000000Z",
        "data": data,
        "triggerEvent": "ATTESTATION_FAILED",
        "title": "Attestation unit-tests failed",
        "message": "3 of 120 tests failed.",
        "severity": "WARNING",
        "entityType": "ATTESTATION",
        "entityId": ATTESTATION,
        "filterFlowId": FLOW,
        "extraPayload": data,
    }


async def test_a_receiver_with_the_new_or_the_old_secret_accepts_and_a_stranger_does_not() -> None:
    async with receiving() as receiver:
        await send(receiver, NEW, OLD)
    [(request, body)] = receiver.requests
    assert len(request.headers["webhook-signature"].split(" ")) == 2
    for secret in (NEW, OLD):
        assert check_standard_webhook(request.headers, body, [secret], NOW) == str(MESSAGE.id)
    with pytest.raises(BadSignature, match="signature_mismatch"):
        check_standard_webhook(request.headers, body, ["whsec_" + b64encode(b"s" * 32).decode()], NOW)
    with pytest.raises(BadSignature, match="signature_mismatch"):
        check_standard_webhook(request.headers, body + b" ", [NEW], NOW)


def test_what_is_signed_is_the_id_the_time_and_the_bytes() -> None:
    body = '{"a":"é"}'.encode()
    headers = signed(MESSAGE, body, [NEW], NOW)
    content = b"%s.%d.%s" % (str(MESSAGE.id).encode(), int(NOW.timestamp()), body)
    assert headers["webhook-signature"] == "v1," + b64encode(digest(b"n" * 32, content, "sha256")).decode()


async def test_every_attempt_has_the_same_id_and_a_time_of_its_own() -> None:
    later = NOW + timedelta(hours=10)
    async with receiving() as receiver:
        await send(receiver, NEW)
        await send(receiver, NEW, now=later)
    ids = [request.headers["webhook-id"] for request, _ in receiver.requests]
    times = [request.headers["webhook-timestamp"] for request, _ in receiver.requests]
    assert ids == [str(MESSAGE.id)] * 2
    assert times == [str(int(NOW.timestamp())), str(int(later.timestamp()))]
    assert receiver.requests[0][1] == receiver.requests[1][1]
    request, body = receiver.requests[1]
    check_standard_webhook(request.headers, body, [NEW], later)


def test_the_library_of_the_receiver_accepts_it() -> None:
    body = body_of(MESSAGE)
    headers = dict(signed(MESSAGE, body, [OLD, NEW], datetime.now(UTC)))
    assert Webhook(NEW).verify(body, headers)["type"] == "attestation.failed"
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(body.replace(b"3 of", b"0 of"), headers)


async def test_without_a_secret_nothing_is_signed() -> None:
    async with receiving() as receiver:
        await send(receiver)
    [(request, _)] = receiver.requests
    assert "webhook-signature" not in request.headers
    assert request.headers["webhook-id"] == str(MESSAGE.id)


@pytest.mark.parametrize(
    ("event", "type_"),
    [("TRAIL_NON_COMPLIANT", "trail.non_compliant"), ("GATE_BLOCKED", "gate.blocked"), ("TEST", "test")],
)
def test_types_are_hierarchical_names(event: str, type_: str) -> None:
    assert json.loads(body_of(message(event=event)))["type"] == type_


@pytest.mark.parametrize("text", ["x" * 30_000, "\x01" * 30_000, "\N{ROCKET}" * 30_000, '"\\' * 15_000])
def test_too_much_goes_without_its_data_and_the_ends_of_its_texts(text: str) -> None:
    body = body_of(message(title=text, message=text, data={"log": text}))
    sent = json.loads(body)
    assert len(body) <= MAX_BODY
    assert sent["data"] == sent["extraPayload"] == {"truncated": True}
    assert text.startswith(sent["title"])
    assert text.startswith(sent["message"])
    assert sent["entityId"] == ATTESTATION


def test_what_just_fits_is_sent_whole() -> None:
    empty = len(body_of(message(message="")))
    whole = message(message="x" * (MAX_BODY - empty))
    assert len(body_of(whole)) == MAX_BODY
    assert json.loads(body_of(whole))["data"]
    assert json.loads(body_of(message(message=whole.message + "x")))["data"] == {"truncated": True}


def test_half_a_character_does_not_stop_a_message() -> None:
    body = body_of(message(title="a\ud800b"))
    assert json.loads(body)["title"] == "a?b"


async def test_a_receiver_that_wants_no_more_says_so() -> None:
    async with receiving(answering(410, "unsubscribed")) as receiver:
        with pytest.raises(SendFailed) as failed:
            await send(receiver, NEW)
    assert failed.value.gone
    assert failed.value.error_class is ErrorClass.PERMANENT
    assert failed.value.response == "unsubscribed"


async def test_a_receiver_that_asks_for_time_gets_it() -> None:
    async with receiving(answering(429, "slower", Retry_After="90")) as receiver:
        with pytest.raises(SendFailed) as failed:
            await send(receiver, NEW)
    assert failed.value.error_class is ErrorClass.THROTTLED
    assert failed.value.retry_after == timedelta(seconds=90)


async def test_one_connection_serves_many_messages() -> None:
    async with receiving() as receiver, open_outbound(LOCAL) as outbound:
        client = WebhookClient(outbound)
        for _ in range(3):
            await client(MESSAGE, ChannelTarget({"webhookUrl": receiver.url}, [NEW]), NOW)
    assert len(receiver.peers) == 3
    assert len(set(receiver.peers)) == 1
