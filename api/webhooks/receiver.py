"""The webhook receiver: look at the headers, verify a limited body, check its syntax, commit it, answer 202.

Until a delivery is proven nothing of it is inflated, decoded or parsed.
"""

import asyncio
from hashlib import sha256
from uuid import UUID

from multidict import CIMultiDictProxy

from api.http.calls import PROVEN, RECEIPT_ID, Call
from api.http.rate_limits import RATE_LIMITS
from api.http.reading import MAX_ON_LOOP, check_json, clean_text, media_type
from api.http.sampling import SampledLog
from api.http.transport.addresses import client_network
from api.http.transport.bodies import Unread, check_length, inflated, too_large
from api.http.transport.encodings import coding_of
from api.http.transport.uploads import URL_ENCODED
from api.webhooks import metrics
from api.webhooks.arrivals import ARRIVALS
from api.webhooks.configs import CONFIGS
from api.webhooks.delivery_threads import DELIVERY_THREADS
from api.webhooks.proof import Proof
from api.webhooks.schemas import AcceptedOut
from api.webhooks.senders import PROVEN_SENDERS, Origin
from api.webhooks.unproven import UNPROVEN
from domain.errors import Denial, Invalid, Throttled, Unauthenticated, Unavailable, UnsupportedMedia
from domain.identity.rates import RateLimit
from integrations import SENDERS
from integrations.contract import BadDelivery, BadSignature, Delivery, Sender, SenderProof, Verified
from storage.facts.queries.webhook_configs import ReceiverConfig
from storage.inbox.commands import Arrival, Receipt

log = SampledLog()

FORM_FACTOR, FORM_REST = 3, 1024
"""How much longer a payload may be as a form, where a byte takes up to three, and the bytes of all else in the form."""

REFUSED = "This delivery could not be authenticated."
"""The same message for every failed verification, so that it does not reveal which configs exist."""


async def receive_webhook(call: Call, source: str, raw: Unread) -> AcceptedOut:
    """Receive a webhook for the organisation `default`.

    The signature selects the webhook config. Status 202 means that the delivery is stored; a repeated delivery gets the
    same receipt.
    """
    return await _receive(call, source, None, raw)


async def receive_config_webhook(call: Call, source: str, config_id: str, raw: Unread) -> AcceptedOut:
    """Receive a webhook for one webhook config.

    Status 202 means that the delivery is stored; a repeated delivery gets the same receipt.
    """
    return await _receive(call, source, _uuid_or_refuse(config_id), raw)


async def _receive(call: Call, source: str, config_id: UUID | None, unread: Unread) -> AcceptedOut:
    sender = SENDERS.get(source.upper())
    if sender is None:
        raise Invalid.of("source", f"must be one of {', '.join(SENDERS)}")
    app = call.request.app
    origin = Origin(client_network(call.request), sender.source, config_id)
    if origin not in app[PROVEN_SENDERS]:
        app[RATE_LIMITS].refuse_failing(call.request, RateLimit.FAILED_SIGNATURES)
    received = _Received(call, sender, unread)
    try:
        config, verified = await received.prove(config_id)
        arrival = await received.check(config, verified)
    except BadSignature as error:
        raise _refusal(sender.source, error.reason, call) from error
    except BadDelivery as error:
        metrics.REFUSED.labels(sender.source, "content").inc()
        raise (Invalid.of(error.field, error.reason) if error.field else Invalid(error.message)) from error
    receipt = await _stored(call, arrival)
    if receipt is None:
        raise _refusal(sender.source, "not_let_in", call)
    app[PROVEN_SENDERS].add(origin)
    metrics.ACCEPTED.labels(sender.source, "fresh" if receipt.fresh else "duplicate").inc()
    call.request[RECEIPT_ID] = str(receipt.id)
    event = verified.event or "event"
    message = f"{event} accepted" if receipt.fresh else f"duplicate of an accepted {event}"
    return AcceptedOut(delivery_id=verified.delivery_id, message=message, receipt_id=receipt.id)


async def _stored(call: Call, arrival: Arrival) -> Receipt | None:
    """Store a delivery. Raises Unavailable also for the share of one organisation: senders give up after a 4xx."""
    try:
        return await call.request.app[ARRIVALS].submit(arrival, len(arrival.body))
    except Throttled as error:
        raise Unavailable(str(error), error.retry_after) from error


class _Received:
    """One delivery being received. What its request declares is checked at once."""

    def __init__(self, call: Call, sender: Sender, unread: Unread) -> None:
        self._call = call
        self._request = call.request
        self._sender = sender
        self._coding = coding_of(self._request)
        self._max_payload = self._max_sent = unread.max_body
        if media_type(self._request) == URL_ENCODED:
            self._max_sent = unread.max_body * FORM_FACTOR + FORM_REST
        check_length(self._request, self._max_sent)
        self._headers = _headers(self._request.headers)
        self._raw = b""

    async def prove(self, config_id: UUID | None) -> tuple[ReceiverConfig, Verified]:
        """Read the body, and return the config that it belongs to. Raises BadSignature and BadDelivery."""
        app, now = self._request.app, self._call.services.clock.now()
        proof = Proof(app[CONFIGS], self._sender, config_id, self._headers, now, app[DELIVERY_THREADS].hashing)
        if not self._request.content.is_eof():
            await proof.check_headers()
        unproven = app[UNPROVEN]
        self._raw = await unproven.read(self._request, self._max_sent)
        try:
            found = await proof.of(self._raw)
        except BadDelivery as error:
            if self._coding:  # what is wrong with it may be that it is compressed
                raise UnsupportedMedia(f"Send this without Content-Encoding; it is not readable: {error}") from error
            raise
        finally:
            unproven.release(len(self._raw))
        self._request[PROVEN] = True
        return found

    async def check(self, config: ReceiverConfig, verified: Verified) -> Arrival:
        """Check the delivery, in a thread if that may take long. Raises BadDelivery, Invalid and TooLarge."""
        if len(self._raw) <= MAX_ON_LOOP and self._coding is None:
            return self._arrival(config, verified)
        checking = self._request.app[DELIVERY_THREADS].checking
        return await asyncio.get_running_loop().run_in_executor(checking, self._arrival, config, verified)

    def _arrival(self, config: ReceiverConfig, verified: Verified) -> Arrival:
        """Check the JSON syntax of the body and, for senders that ask for it, its schema."""
        sender, headers = self._sender, self._headers
        body = inflated(self._raw, self._coding, self._max_sent) if self._coding else self._raw
        kept = {name: clean_text(name, headers[name]) for name in sender.kept_headers if name in headers}
        delivery = Delivery(verified.event, kept, body)
        payload = sender.json_of(delivery)
        if len(payload) > self._max_payload:
            raise too_large(self._max_payload)
        check_json(payload)
        if sender.validate_on_accept:
            sender.parse(delivery)
        return Arrival(
            org_id=config.org_id,
            config_id=config.config_id,
            source=sender.source,
            delivery_id=verified.delivery_id,
            event=verified.event,
            headers=kept,
            body=body,
            body_sha256=sha256(body).digest(),
            signed=verified.proof is SenderProof.SIGNED if sender.takes_token else None,
            once_per_body=verified.once_per_body,
        )


def _refusal(source: str, reason: str, call: Call) -> Unauthenticated:
    metrics.REFUSED.labels(source, reason).inc()
    log.line("webhook.refused", f"{source} {reason}", source=source, reason=reason, request_id=call.request_id)
    call.request.app[RATE_LIMITS].failed(call.request, RateLimit.FAILED_SIGNATURES)
    return Unauthenticated(REFUSED, denial=Denial.SIGNATURE)


def _headers(headers: CIMultiDictProxy[str]) -> dict[str, str]:
    """Return the headers by lower-case name; of repeated headers the first one counts."""
    return {name.lower(): value for name, value in reversed(list(headers.items()))}


def _uuid_or_refuse(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Unauthenticated(REFUSED, denial=Denial.SIGNATURE) from error
