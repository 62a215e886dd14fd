"""The receiver of webhooks: bounded read, signature over the raw bytes, syntax, one commit, 202."""

import asyncio
import time
from hashlib import sha256
from uuid import UUID

import structlog
from multidict import CIMultiDictProxy

from api.http.calls import RECEIPT_ID, Call
from api.http.reading import check_json, clean_text
from api.webhooks import metrics
from api.webhooks.arrivals import ARRIVALS
from api.webhooks.configs import CONFIGS
from api.webhooks.schemas import AcceptedOut
from domain.errors import Invalid, Unauthenticated
from integrations import SENDERS
from integrations.contract import BadDelivery, BadSignature, Delivery, Sender, SenderProof, Verified
from storage.facts.queries.webhook_configs import ReceiverConfig
from storage.inbox.commands import Arrival

log = structlog.get_logger()

MAX_ON_LOOP = 256 * 1024
"""Bytes from which a body is checked off the event loop."""

REFUSED = "This delivery does not prove itself."
"""The one answer to every failed proof: it tells a stranger nothing about what exists."""


async def receive_webhook(call: Call, source: str, raw: bytes) -> AcceptedOut:
    """Receive a webhook for the organisation `default`.

    The signature selects the webhook config. The answer 202 means that the delivery is committed; a repeated delivery
    gets the same receipt.
    """
    return await _receive(call, source, None, raw)


async def receive_config_webhook(call: Call, source: str, config_id: str, raw: bytes) -> AcceptedOut:
    """Receive a webhook for one webhook config.

    The answer 202 means that the delivery is committed; a repeated delivery gets the same receipt.
    """
    return await _receive(call, source, _uuid_or_refuse(config_id), raw)


async def _receive(call: Call, source: str, config_id: UUID | None, raw: bytes) -> AcceptedOut:
    sender = SENDERS.get(source.upper())
    if sender is None:
        raise Invalid.of("source", f"must be one of {', '.join(SENDERS)}")
    headers = _headers(call.request.headers)
    try:
        config, verified = await _proven(sender, config_id, headers, raw, call)
        arrival = await _checked(sender, config, verified, headers, raw)
    except BadSignature as error:
        raise _refusal(sender.source, error.reason, call) from error
    except BadDelivery as error:
        metrics.REFUSED.labels(sender.source, "content").inc()
        raise Invalid(error.message) if not error.field else Invalid.of(error.field, error.message) from error
    receipt = await call.request.app[ARRIVALS].submit(arrival, len(raw))
    if receipt is None:
        raise _refusal(sender.source, "not_let_in", call)
    metrics.ACCEPTED.labels(sender.source, "fresh" if receipt.fresh else "duplicate").inc()
    call.request[RECEIPT_ID] = str(receipt.id)
    event = verified.event or "event"
    message = f"{event} accepted" if receipt.fresh else f"duplicate of a {event} that was accepted before"
    return AcceptedOut(delivery_id=verified.delivery_id, message=message, receipt_id=receipt.id)


async def _proven(
    sender: Sender, config_id: UUID | None, headers: dict[str, str], raw: bytes, call: Call
) -> tuple[ReceiverConfig, Verified]:
    """Against the configs known, and where none fits against those there are now: a secret may be seconds old."""
    configs, arrived = call.request.app[CONFIGS], time.monotonic()
    try:
        return _prove(sender, await configs.find(sender.source, config_id), headers, raw, call)
    except BadSignature as error:
        if error.reason not in {"signature_mismatch", "token_mismatch", "no_config"}:
            raise
        return _prove(sender, await configs.find(sender.source, config_id, since=arrived), headers, raw, call)


def _prove(
    sender: Sender, found: tuple[ReceiverConfig, ...], headers: dict[str, str], raw: bytes, call: Call
) -> tuple[ReceiverConfig, Verified]:
    """The first config whose secrets fit. Every one is tried, so that time tells nothing about which."""
    if not found:
        raise BadSignature("no_config")
    fitting: tuple[ReceiverConfig, Verified] | None = None
    reason = ""
    now = call.services.clock.now()
    for config in found:
        try:
            verified = sender.verify(headers, raw, config.secrets, now)
            if config.signed and verified.proof is SenderProof.TOKEN:
                raise BadSignature("token_after_signature")  # noqa: TRY301 - a reason like the others
        except BadSignature as error:
            reason = error.reason
        else:
            fitting = fitting or (config, verified)
    if fitting is None:
        raise BadSignature(reason)
    return fitting


async def _checked(
    sender: Sender, config: ReceiverConfig, verified: Verified, headers: dict[str, str], raw: bytes
) -> Arrival:
    """Off the event loop where the body is large."""
    if len(raw) > MAX_ON_LOOP:
        return await asyncio.to_thread(_arrival, sender, config, verified, headers, raw)
    return _arrival(sender, config, verified, headers, raw)


def _arrival(
    sender: Sender, config: ReceiverConfig, verified: Verified, headers: dict[str, str], raw: bytes
) -> Arrival:
    """Check what is checked before the promise: the syntax of everybody's body, the whole of our own schema."""
    kept = {name: clean_text(name, headers[name]) for name in sender.kept_headers if name in headers}
    delivery = Delivery(verified.event, kept, raw)
    check_json(sender.json_of(delivery))
    if sender.validate_on_accept:
        sender.parse(delivery)
    return Arrival(
        org_id=config.org_id,
        config_id=config.config_id,
        source=sender.source,
        delivery_id=verified.delivery_id,
        event=verified.event,
        headers=kept,
        body=raw,
        body_sha256=sha256(raw).digest(),
        signed=verified.proof is SenderProof.SIGNED if sender.takes_token else None,
    )


def _refusal(source: str, reason: str, call: Call) -> Unauthenticated:
    metrics.REFUSED.labels(source, reason).inc()
    log.info("webhook.refused", source=source, reason=reason, request_id=call.request_id)
    return Unauthenticated(REFUSED)


def _headers(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    """Lower-case names; of a header that came twice the first counts."""
    return {name.lower(): value for name, value in reversed(list(headers.items()))}


def _uuid_or_refuse(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Unauthenticated(REFUSED) from error
