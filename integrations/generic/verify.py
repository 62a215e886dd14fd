"""Verify a delivery in Trailgate's generic format: Standard Webhooks 1.0, else an HMAC of the body."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from integrations.contract import Verified
from integrations.deliveries import delivery_id
from integrations.signatures import check_body_hmac, check_standard_webhook


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, /) -> Verified:
    """Check `webhook-signature` if present, else `X-Hub-Signature-256`, else `X-Webhook-Signature`.

    If `webhook-signature` is present, only it counts, because the other headers sign no time. Raises BadSignature, and
    BadDelivery for a delivery id that cannot be stored.
    """
    if "webhook-signature" in headers:
        return Verified(check_standard_webhook(headers, body, secrets, now), None)
    check_body_hmac(headers.get("x-hub-signature-256") or headers.get("x-webhook-signature"), body, secrets)
    return Verified(delivery_id(headers, ("webhook-id", "x-delivery-id"), body, now), None)
