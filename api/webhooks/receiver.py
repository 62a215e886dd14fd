"""The webhook receiver: read a limited body, verify its signature, check its syntax, commit it, answer 202."""

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
"""Bytes of the largest body that is checked on the event loop; larger ones are checked in a thread."""

REFUSED = "This delivery could not be authenticated."
"""The same message for every failed verification, so that it does not reveal which configs exist."""


async def receive_webhook(call: Call, source: str, raw: bytes) -> AcceptedOut:
    """Receive a webhook for the organisation `default`.

    The signature selects the webhook config. Status 202 means that the delivery is stored; a repeated delivery gets the
    same receipt.
    """
    return await _receive(call, source, None, raw)


async def receive_config_webhook(call: Call, source: str, config_id: str, raw: bytes) -> AcceptedOut:
    """Receive a webhook for one webhook config.

    Status 202 means that the delivery is stored; a repeated delivery gets the same receipt.
    """
    return await _receive(call, source, _uuid_or_refuse(config_id), raw)


async def _receive(call: Call, source: str, config_id: UUID | None, raw: bytes) -> AcceptedOut:
    sender = SENDERS.get(source.upper())
    if sender is None:
        raise Invalid.of("source", f"must be one of {', '.join(SENDERS)}")
    headers = _headers(call.request.headers)
    try:
        config, verified = await _verified(sender, config_id, headers, raw, call)
        arrival = await _checked(sender, config, verified, headers, raw)
    except BadSignature as error:
        raise _refusal(sender.source, error.reason, call) from error
    except BadDelivery as error:
        metrics.REFUSED.labels(sender.source, "content").inc()
        raise (Invalid.of(error.field, error.reason) if error.field else Invalid(error.message)) from error
    receipt = await call.request.app[ARRIVALS].submit(arrival, len(raw))
    if receipt is None:
        raise _refusal(sender.source, "not_let_in", call)
    metrics.ACCEPTED.labels(sender.source, "fresh" if receipt.fresh else "duplicate").inc()
    call.request[RECEIPT_ID] = str(receipt.id)
    event = verified.event or "event"
    message = f"{event} accepted" if receipt.fresh else f"duplicate of an accepted {event}"
    return AcceptedOut(delivery_id=verified.delivery_id, message=message, receipt_id=receipt.id)


async def _verified(
    sender: Sender, config_id: UUID | None, headers: dict[str, str], raw: bytes, call: Call
) -> tuple[ReceiverConfig, Verified]:
    """Verify against the cached configs, then against the current ones, as a secret may have just changed."""
    configs, arrived = call.request.app[CONFIGS], time.monotonic()
    try:
        return _verify(sender, await configs.find(sender.source, config_id), headers, raw, call)
    except BadSignature as error:
        if error.reason not in {"signature_mismatch", "token_mismatch", "no_config"}:
            raise
        return _verify(sender, await configs.find(sender.source, config_id, since=arrived), headers, raw, call)


def _verify(
    sender: Sender, found: tuple[ReceiverConfig, ...], headers: dict[str, str], raw: bytes, call: Call
) -> tuple[ReceiverConfig, Verified]:
    """Return the first config whose secrets match. All are tried, so that the time taken does not reveal which one."""
    if not found:
        raise BadSignature("no_config")
    matching: tuple[ReceiverConfig, Verified] | None = None
    reason = ""
    now = call.services.clock.now()
    for config in found:
        try:
            verified = sender.verify(headers, raw, config.secrets, now)
            if config.signed and verified.proof is SenderProof.TOKEN:
                raise BadSignature("token_after_signature")  # noqa: TRY301 - handled like the other reasons
        except BadSignature as error:
            reason = error.reason
        else:
            matching = matching or (config, verified)
    if matching is None:
        raise BadSignature(reason)
    return matching


async def _checked(
    sender: Sender, config: ReceiverConfig, verified: Verified, headers: dict[str, str], raw: bytes
) -> Arrival:
    """Check the delivery, in a thread if the body is large."""
    if len(raw) > MAX_ON_LOOP:
        return await asyncio.to_thread(_arrival, sender, config, verified, headers, raw)
    return _arrival(sender, config, verified, headers, raw)


def _arrival(
    sender: Sender, config: ReceiverConfig, verified: Verified, headers: dict[str, str], raw: bytes
) -> Arrival:
    """Check the JSON syntax of the body and, for senders that ask for it, its schema. Raises BadDelivery or Invalid."""
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
    """Return the headers by lower-case name; of repeated headers the first one counts."""
    return {name.lower(): value for name, value in reversed(list(headers.items()))}


def _uuid_or_refuse(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Unauthenticated(REFUSED) from error
