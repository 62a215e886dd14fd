"""Outgoing webhooks by Standard Webhooks 1.0 (engineering.md 2.15), in both vocabularies of integrations.md 12.2."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import aiohttp
from standardwebhooks.webhooks import Webhook

from domain.notifications.rules import Channel
from integrations.channels import ChannelTarget, Outgoing, SendResult
from integrations.transport import answer, reaching, said, webhook_url

MAX_BODY = 20_000
"""Bytes of a body; what would be longer goes without its data (Standard Webhooks 1.0, "payload size")."""

_CUT_TITLE = 300
_CUT_MESSAGE = 2000

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class WebhookClient:
    """Posts messages, signed with every secret of the target, so that a receiver may hold the old one or the new."""

    def __init__(self, outbound: aiohttp.ClientSession) -> None:
        self._outbound = outbound

    async def __call__(self, message: Outgoing, target: ChannelTarget, now: datetime, /) -> SendResult:
        """Deliver one message. Raises SendFailed."""
        url = webhook_url(Channel.WEBHOOK, target)
        body = body_of(message)
        headers = {"Content-Type": "application/json", **signed(message, body, target.signing_secrets, now)}
        with reaching(url.host):
            async with self._outbound.post(url, data=body, headers=headers) as response:
                text = await said(response)
        return answer(url.host, response.status, response.headers, text, now)


def signed(message: Outgoing, body: bytes, secrets: Sequence[str], now: datetime) -> Mapping[str, str]:
    """The three headers of Standard Webhooks 1.0: the id of the message, the time of this attempt, the signatures.

    Each secret is base64, with or without `whsec_`. Without a secret there is no signature.
    """
    moment = now.astimezone(UTC)
    headers = {"webhook-id": str(message.id), "webhook-timestamp": str(int(moment.timestamp()))}
    if secrets:
        text = body.decode()
        signatures = [_signer(secret).sign(str(message.id), moment, text) for secret in secrets]
        headers["webhook-signature"] = " ".join(signatures)
    return headers


_signer = lru_cache(maxsize=1024)(Webhook)
"""Reads a secret once for all the messages that it signs."""


def body_of(message: Outgoing) -> bytes:
    """The JSON that is sent, of at most MAX_BODY bytes: too long a one loses its data and the ends of its texts."""
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
    return _encode(document).encode("utf-8", "replace")
