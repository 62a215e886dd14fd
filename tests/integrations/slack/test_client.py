import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from domain.retries import ErrorClass
from integrations.channels import ChannelTarget, Outgoing, SendFailed, SendResult
from integrations.slack.client import SlackClient, blocks_of, escaped, text_of
from storage.outbound import open_outbound
from storage.settings import Settings
from tests.integrations.messages import ATTESTATION, MESSAGE, NOW, TRAIL, message
from tests.storage.receiving import LOCAL, Receiver, answering, receiving

LIMITS = {"header": 150, "section": 3000, "context": 2000}
ENTITIES = ("&amp;", "&lt;", "&gt;")


def unfit(payload: Mapping[str, Any]) -> str | None:
    """What Slack would refuse, by its reference of blocks and of text formatting; None = it takes the message."""
    if not isinstance(payload.get("text"), str) or not payload["text"] or len(payload["text"]) > 40_000:
        return "no_text"
    blocks = payload.get("blocks", [])
    texts = [payload["text"]]
    for block in blocks:
        fields = block.get("fields", [])
        if len(fields) > 10 or (block["type"] == "section" and not fields and "text" not in block):
            return "invalid_blocks"
        inner = [block["text"]] if "text" in block else block.get("elements", [])
        for element, limit in [*((e, LIMITS[block["type"]]) for e in inner), *((e, 2000) for e in fields)]:
            if not 1 <= len(element["text"].strip()) <= len(element["text"]) <= limit:
                return "invalid_blocks"
            texts.append(element["text"])
    return "unescaped" if any(unescaped(text) for text in texts) else None


def unescaped(text: str) -> bool:
    for entity in ENTITIES:
        text = text.replace(entity, "")
    return any(character in text for character in "&<>")


@asynccontextmanager
async def slack() -> AsyncIterator[Receiver]:
    """An incoming webhook as Slack has them: it looks at what it gets, and answers in plain text."""

    async def answer(request: web.Request) -> web.Response:
        if not request.content_type.startswith("application/json"):
            return web.Response(status=400, text="invalid_payload")
        problem = unfit(json.loads(await request.read()))
        return web.Response(status=400, text=problem) if problem else web.Response(text="ok")

    async with receiving(answer) as receiver:
        yield receiver


async def send(receiver: Receiver | str, told: Outgoing = MESSAGE, settings: Settings = LOCAL) -> SendResult:
    url = receiver if isinstance(receiver, str) else receiver.url
    async with open_outbound(settings) as outbound:
        return await SlackClient(outbound)(told, ChannelTarget({"webhookUrl": url}), NOW)


async def test_slack_takes_the_message() -> None:
    async with slack() as receiver:
        assert await send(receiver) == SendResult(200, "ok")
    [(request, body)] = receiver.requests
    assert (request.method, request.path_qs) == ("POST", "/hook?token=hush")
    assert request.headers["User-Agent"] == "Trailgate"
    payload = json.loads(body)
    assert payload["text"].splitlines() == [
        "*⚠ Warning*",
        "*Type:* Attestation failed",
        "*Attestation unit-tests failed*",
        "3 of 120 tests failed.",
        f"*Attestation:* {ATTESTATION}",
        f"*Trail id:* {TRAIL}",
        "*Attestation:* unit-tests",
    ]
    assert [block["type"] for block in payload["blocks"]] == ["header", "section", "section", "context"]
    header, body_, fields, context = payload["blocks"]
    assert header["text"]["text"] == "Attestation unit-tests failed"
    assert body_["text"]["text"] == "3 of 120 tests failed."
    assert [field["text"] for field in fields["fields"]] == payload["text"].splitlines()[4:]
    assert context["elements"][0]["text"] == "⚠ Warning · Attestation failed"
    assert payload["unfurl_links"] is False


@pytest.mark.parametrize(
    ("severity", "heading"),
    [
        ("CRITICAL", "🚨 Critical alert"),
        ("WARNING", "⚠ Warning"),
        ("INFO", "\N{INFORMATION SOURCE} For your information"),
    ],
)
def test_the_heading_calls_as_loudly_as_the_severity(severity: str, heading: str) -> None:
    assert text_of(message(severity=severity)).splitlines()[0] == f"*{heading}*"


def test_a_message_about_nothing_in_particular_has_no_details() -> None:
    bare = message(entityType=None, entityId=None, data={})
    assert [block.type for block in blocks_of(bare)] == ["header", "section", "context"]


async def test_nobody_is_called_by_a_name_that_somebody_gave() -> None:
    """A flow may be called `<!channel>`: it must not wake everybody."""
    hostile = "<!channel> & <https://evil.example|click>"
    async with slack() as receiver:
        await send(receiver, message(title=hostile, message=hostile, data={"flow": hostile}))
    [(_, body)] = receiver.requests
    assert "<" not in body.decode()
    assert "&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;" in json.loads(body)["text"]


@pytest.mark.parametrize("text", ["&" * 50_000, "x" * 50_000, "\N{ROCKET}" * 5000])
async def test_slack_takes_a_message_of_any_size(text: str) -> None:
    data = {f"key{n}": text for n in range(30)}
    async with slack() as receiver:
        assert await send(receiver, message(title=text, message=text, data=data)) == SendResult(200, "ok")


@given(st.text(max_size=400), st.text(max_size=4000), st.dictionaries(st.text(max_size=200), st.text(max_size=3000)))
def test_no_text_makes_a_message_that_slack_refuses(title: str, text: str, data: dict[str, str]) -> None:
    told = message(title=title, message=text, data=data)
    blocks = [block.to_dict() for block in blocks_of(told)]
    assert unfit({"text": text_of(told), "blocks": blocks}) is None


@given(st.text(alphabet="&<>ab;", max_size=60), st.integers(1, 40))
def test_text_is_cut_between_characters_and_never_within_an_entity(text: str, limit: int) -> None:
    cut = escaped(text, limit)
    assert len(cut) <= limit
    assert not unescaped(cut)
    whole = cut.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert whole == text or (whole.endswith("…") and text.startswith(whole[:-1]))


@pytest.mark.parametrize("blank", ["", "  \n"])
async def test_slack_takes_a_message_whose_template_left_nothing(blank: str) -> None:
    async with slack() as receiver:
        assert await send(receiver, message(title=blank, message=blank)) == SendResult(200, "ok")


async def test_the_address_stands_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with slack() as receiver:
        await send(receiver)
    assert not [
        record for record in caplog.records if "hush" in record.getMessage() and record.name != "aiohttp.access"
    ]


@pytest.mark.parametrize(
    ("status", "said", "gone"),
    [
        (400, "invalid_payload", False),
        (403, "action_prohibited", False),
        (404, "no_service", False),
        (404, "channel_not_found", False),
        (410, "channel_is_archived", True),
    ],
)
async def test_slacks_own_word_is_told_and_the_message_given_up(status: int, said: str, gone: bool) -> None:
    async with receiving(answering(status, said)) as receiver:
        with pytest.raises(SendFailed) as failed:
            await send(receiver)
    assert failed.value.error_class is ErrorClass.PERMANENT
    assert failed.value.reason == f"Slack answered {status}: {said}."
    assert failed.value.gone is gone
    assert failed.value.response == said


async def test_a_busy_slack_is_left_alone_for_as_long_as_it_says() -> None:
    async with receiving(answering(429, "rate_limited", Retry_After="30")) as receiver:
        with pytest.raises(SendFailed) as failed:
            await send(receiver)
    assert failed.value.error_class is ErrorClass.THROTTLED
    assert failed.value.retry_after == timedelta(seconds=30)


async def test_a_broken_slack_may_be_well_again() -> None:
    async with receiving(answering(500, "<html>\x00rollup</html>")) as receiver:
        with pytest.raises(SendFailed) as failed:
            await send(receiver)
    assert failed.value.error_class is ErrorClass.TRANSIENT
    assert failed.value.reason == "127.0.0.1 answered 500."
    assert "\x00" not in failed.value.response


async def test_a_connection_that_is_cut_is_not_tried_again_by_the_library() -> None:
    async def cut(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with receiving(cut) as receiver:
        with pytest.raises(SendFailed) as failed:
            await send(receiver)
    assert failed.value.error_class is ErrorClass.TRANSIENT
    assert failed.value.reason == "127.0.0.1 closed the connection."
    assert len(receiver.requests) == 1


async def test_a_redirect_of_slacks_is_not_followed() -> None:
    async with slack() as elsewhere, receiving(answering(302, Location=elsewhere.url)) as receiver:
        with pytest.raises(SendFailed, match="302"):
            await send(receiver)
    assert not elsewhere.requests


async def test_the_library_takes_no_proxy_round_the_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        with pytest.raises(SendFailed, match="private network") as failed:
            await send("https://10.0.0.1/services/T0/B0/x", settings=Settings())
    assert failed.value.error_class is ErrorClass.PERMANENT
    assert not proxy.requests
