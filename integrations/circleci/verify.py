"""Verify a delivery of CircleCI: HMAC-SHA256 of the body, by CircleCI's "Outbound webhooks".

CircleCI signs no time; the id in the signed body, unchanged on retries, protects against replays. There is no
reconciliation: CircleCI itself retries, and its API does not list deliveries.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from integrations.circleci.payloads import Head
from integrations.contract import Verified
from integrations.deliveries import read
from integrations.generic.verify import verify as verify_generic
from integrations.signatures import check_body_hmac

_V1 = re.compile(r"(?:^|,) *v1=([^,]*)")


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, /) -> Verified:
    """Check `circleci-signature`; id and event come from the signed body, not from `circleci-event-type`.

    A delivery without that header is in Trailgate's generic format and verified as such. Raises BadSignature, and
    BadDelivery for a body without an id and a type that can be stored.
    """
    if "circleci-signature" not in headers:
        return verify_generic(headers, body, secrets, now)
    check_body_hmac(_version_1(headers["circleci-signature"]), body, secrets)
    head = read(Head, body)
    return Verified(head.id, head.type)


def _version_1(header: str) -> str:
    """Return the signature of version v1 from the list; without one, the whole header, which is then refused."""
    listed = _V1.search(header)
    return listed[1] if listed else header
