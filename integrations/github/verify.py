"""Verify a delivery of GitHub: HMAC-SHA256 of the body; the old SHA-1 header is ignored.

GitHub signs neither a time nor other headers, so a body is accepted only once, whatever delivery id comes with it.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from integrations.contract import BadDelivery, Verified
from integrations.deliveries import delivery_id
from integrations.signatures import check_body_hmac

_EVENT = re.compile(r"[a-z0-9_]{1,64}")


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, /) -> Verified:
    """Check `X-Hub-Signature-256`, else `X-Webhook-Signature`; the event is `X-GitHub-Event`.

    Raises BadSignature, and BadDelivery for an event name or delivery id that cannot be stored.
    """
    check_body_hmac(headers.get("x-hub-signature-256") or headers.get("x-webhook-signature"), body, secrets)
    event = headers.get("x-github-event") or None
    if event is not None and not _EVENT.fullmatch(event):
        raise BadDelivery("must be the name of an event", "x-github-event")
    delivery = delivery_id(headers, ("x-github-delivery", "x-delivery-id"), body, now)
    return Verified(delivery, event, once_per_body=True)
