"""Prove a delivery of Bitbucket: HMAC-SHA256 of the body in the header where GitHub puts SHA-1 (engineering.md 2.16).

Bitbucket signs neither a time nor its other headers, so that only the request's id, unchanged on redelivery, stands
against a replay. No reconciling: Bitbucket Cloud tries a failed delivery twice more by itself, and neither Cloud nor
Data Center has an API that would send one again; a person can resend Cloud's from its pages.
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
        raise BadDelivery("x-event-key: the key of an event expected", "x-event-key")
    return Verified(delivery_id(headers, ("x-request-uuid", "x-request-id"), body, now), event)
