"""Outgoing webhooks by Standard Webhooks 1.0. Bodies contain the fields of that standard and those of OpenFactstore."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hmac import digest
from typing import Any

import aiohttp
import orjson

from domain.notifications.rules import Channel
from domain.notifications.signing import PREFIX
from integrations.channels import ChannelTarget, Outgoing, SendResult
from integrations.transport import answer, reaching, response_text, webhook_url

MAX_BODY = 20_000
"""Bytes of a body; a longer one is sent without its data (Standard Webhooks 1.0, "payload size")."""

_CUT_TITLE = 300
_CUT_MESSAGE = 2000

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class WebhookClient:
    """Posts messages, signed with every secret of the target, so that receivers may use the old one or the new one."""

    def __init__(self, outbound: aiohttp.ClientSession) -> None:
        self._outbound = outbound

    async def __call__(self, message: Outgoing, target: ChannelTarget, now: datetime, /) -> SendResult:
        """Send one message. Raises SendFailed."""
        url = webhook_url(Channel.WEBHOOK, target)
        body = body_of(message)
        headers = {"Content-Type": "application/json", **signed(message, body, target.signing_secrets, now)}
        with reaching(url.host):
            async with self._outbound.post(url, data=body, headers=headers) as response:
                text = await response_text(response)
        return answer(url.host, response.status, response.headers, text, now)


def signed(message: Outgoing, body: bytes, secrets: Sequence[str], now: datetime) -> Mapping[str, str]:
    """Return the three headers of Standard Webhooks 1.0: the message's id, the time of this attempt, the signatures.

    Each secret is base64, with or without `whsec_`. Without a secret there is no signature header.
    """
    moment = now.astimezone(UTC)
    headers = {"webhook-id": str(message.id), "webhook-timestamp": str(int(moment.timestamp()))}
    if secrets:
        content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        headers["webhook-signature"] = " ".join(f"v1,{_signature(secret, content)}" for secret in secrets)
    return headers


def _signature(secret: str, content: bytes) -> str:
    return b64encode(digest(_key(secret), content, "sha256")).decode()


@lru_cache(maxsize=1024)
def _key(secret: str) -> bytes:
    """Decode a secret; cached for further messages."""
    return b64decode(secret.removeprefix(PREFIX))


def body_of(message: Outgoing) -> bytes:
    """Write the JSON to send, of at most MAX_BODY bytes: if it is too long, omit the data and cut the texts."""
    data = message.payload.get("data") or {}
    body = _encoded(message, message.title, message.message, data)
    if len(body) <= MAX_BODY:
        return body
    return _encoded(message, message.title[:_CUT_TITLE], message.message[:_CUT_MESSAGE], {"truncated": True})


def _encoded(message: Outgoing, title: str, text: str, data: Mapping[str, Any]) -> bytes:
    kept = message.payload
    document = {
        "type": message.event.lower().replace("_", ".", 1),
        "timestamp": message.created_at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "data": data,
        "triggerEvent": message.event,
        "title": title,
        "message": text,
        "severity": message.severity,
        "entityType": kept.get("entityType"),
        "entityId": kept.get("entityId"),
        "filterFlowId": kept.get("flowId"),
        "extraPayload": data,
    }
    try:
        return orjson.dumps(document)
    except TypeError:  # lone surrogates, integers beyond 64 bits
        return _encode(document).encode("utf-8", "replace")
