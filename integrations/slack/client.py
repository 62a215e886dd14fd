"""The Slack channel: incoming webhooks, with plain text for notifications and Block Kit for the message."""

import logging
import re
from collections.abc import Iterable
from datetime import datetime

import aiohttp
from slack_sdk.models.blocks import Block, ContextBlock, HeaderBlock, MarkdownTextObject, PlainTextObject, SectionBlock
from slack_sdk.webhook.async_client import AsyncWebhookClient
from slack_sdk.webhook.webhook_response import WebhookResponse

from domain.notifications.rules import Channel
from integrations.channels import ChannelTarget, Outgoing, SendFailed, SendResult, details, readable, storable
from integrations.transport import answer, reaching, webhook_url

_HEADINGS = {
    "CRITICAL": "\N{POLICE CARS REVOLVING LIGHT} Critical alert",
    "WARNING": "\N{WARNING SIGN} Warning",
    "INFO": "\N{INFORMATION SOURCE} For your information",
}

MAX_HEADER = 150
MAX_TEXT = 3000
MAX_FIELDS = 10
MAX_FIELD = 2000
"""Slack's limits on characters and fields in a block; it refuses a message that exceeds one of them."""

_ERROR = re.compile(r"[a-z_]{1,50}")
_SILENT = logging.Logger("slack_sdk", logging.WARNING)  # noqa: LOG001 - must not follow the configured log level
"""At level debug, the library would log each URL, which is a secret."""


class SlackClient:
    """Posts messages to the channel of an incoming webhook."""

    def __init__(self, outbound: aiohttp.ClientSession) -> None:
        self._outbound = outbound

    async def __call__(self, message: Outgoing, target: ChannelTarget, now: datetime, /) -> SendResult:
        """Send one message. Raises SendFailed with Slack's error code, such as `no_service`."""
        url = webhook_url(Channel.SLACK, target)
        client = AsyncWebhookClient(str(url), session=self._outbound, retry_handlers=[], logger=_SILENT)
        client.proxy = None  # a proxy from the environment would bypass the check of addresses
        client.default_headers["User-Agent"] = self._outbound.headers["User-Agent"]
        with reaching(url.host):
            response = await client.send(text=text_of(message), blocks=blocks_of(message), unfurl_links=False)
        return _judged(url.host, response, now)


def _judged(host: str | None, response: WebhookResponse, now: datetime) -> SendResult:
    text = storable(response.body)
    try:
        return answer(host, response.status_code, response.headers, text, now)
    except SendFailed as failed:
        if _ERROR.fullmatch(text):
            failed.reason = f"Slack answered {response.status_code}: {text}."
        raise


def text_of(message: Outgoing) -> str:
    """Write the text for notifications on phones and for clients without Block Kit."""
    lines = [
        f"*{heading(message)}*",
        f"*Type:* {escaped(readable(message.event), MAX_FIELD)}",
        f"*{escaped(message.title, MAX_TEXT)}*",
        escaped(message.message, MAX_TEXT),
        *_pairs(message),
    ]
    return "\n".join(lines)


def blocks_of(message: Outgoing) -> list[Block]:
    """Write the message in Block Kit: title, text, details in two columns, and a line with severity and event."""
    fields = [MarkdownTextObject(text=pair) for pair in _pairs(message)]
    origin = f"{heading(message)} · {escaped(readable(message.event), MAX_FIELD)}"
    blocks: list[Block] = [
        HeaderBlock(
            text=PlainTextObject(text=escaped(message.title.strip() or heading(message), MAX_HEADER), emoji=False)
        ),
        SectionBlock(text=MarkdownTextObject(text=escaped(message.message.strip() or "-", MAX_TEXT))),
    ]
    if fields:
        blocks.append(SectionBlock(fields=fields))
    return [*blocks, ContextBlock(elements=[MarkdownTextObject(text=origin)])]


def heading(message: Outgoing) -> str:
    """Return the heading for the severity of a message."""
    return _HEADINGS.get(message.severity, _HEADINGS["INFO"])


def escaped(text: str, limit: int) -> str:
    """Escape mentions, links and channels (`<!channel>`), and cut the text to at most `limit` characters."""
    safe = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    if len(safe) <= limit:
        return safe
    return re.sub(r"&[a-z]*\Z", "", safe[: limit - 1]) + "…"


def _pairs(message: Outgoing) -> list[str]:
    shown: Iterable[tuple[str, str]] = list(details(message))[:MAX_FIELDS]
    return [f"*{escaped(label, 100)}:* {escaped(value, MAX_FIELD - 110)}" for label, value in shown]
