"""Prove a delivery of CircleCI: HMAC-SHA256 of the body (CircleCI's "Outbound webhooks", engineering.md 2.16).

CircleCI signs no time; the id in the signed body, unchanged when CircleCI sends again, stands against a replay. It
retries by itself, and its API knows webhooks but not their deliveries: there is nothing to ask for again.
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

    A delivery without that header is in our own format and proven as such (integrations.md 14.2). Raises BadSignature,
    and BadDelivery for a body without an id and a type that can be stored.
    """
    if "circleci-signature" not in headers:
        return verify_generic(headers, body, secrets, now)
    check_body_hmac(_version_1(headers["circleci-signature"]), body, secrets)
    head = read(Head, body)
    return Verified(head.id, head.type)


def _version_1(header: str) -> str:
    """The only version known, out of the list of signatures; a header without it is judged, and refused, whole."""
    listed = _V1.search(header)
    return listed[1] if listed else header
