"""Verify a delivery of Bitbucket: HMAC-SHA256 of the body, in the header that GitHub uses for SHA-1.

Bitbucket signs neither a time nor other headers, so a body is accepted only once, whatever request id comes with it.
There is no reconciliation: Bitbucket Cloud itself retries a failed delivery twice, and neither Cloud nor Data
Center has an API to redeliver; in Cloud, people can resend a request from its pages.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from integrations.contract import BadDelivery, Verified
from integrations.deliveries import delivery_id
from integrations.signatures import check_body_hmac

_EVENT_KEY = re.compile(r"[a-z0-9_-]{1,32}(:[a-z0-9_-]{1,32}){0,3}")


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, /) -> Verified:
    """Check `X-Hub-Signature`; the event is `X-Event-Key`, the id `X-Request-UUID` (Cloud) or `X-Request-Id`.

    Raises BadSignature, and BadDelivery for an event key or id that cannot be stored.
    """
    check_body_hmac(headers.get("x-hub-signature"), body, secrets)
    event = headers.get("x-event-key", "")
    if not _EVENT_KEY.fullmatch(event):
        raise BadDelivery("must be the key of an event", "x-event-key")
    return Verified(delivery_id(headers, ("x-request-uuid", "x-request-id"), body, now), event, once_per_body=True)
