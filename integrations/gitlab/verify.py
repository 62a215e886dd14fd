"""Prove a delivery of GitLab: by signing token, else secret token, else the older API's HMAC (engineering.md 2.16).

The secret token covers nothing: a body that was tampered with on the way cannot be noticed, and only `Idempotency-Key`,
which GitLab keeps when it sends again (17.4 and later), stands against a replay. Nothing is reconciled: GitLab lists
failed deliveries and sends them again only for a maintainer's access token, which a webhook config does not hold.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from integrations.contract import BadDelivery, SenderProof, Verified
from integrations.deliveries import delivery_id
from integrations.generic.verify import verify as verify_generic
from integrations.signatures import check_token

_EVENT = re.compile(r"[A-Za-z0-9 _-]{1,64}")


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, /) -> Verified:
    """Check `webhook-signature` when it is there, else `X-Gitlab-Token`, else the headers of our own format.

    Whichever header is there decides alone: a bad signature is not rescued by a token beside it. The event is
    `X-Gitlab-Event`. Raises BadSignature, and BadDelivery for an event name or delivery id that cannot be stored.
    """
    if headers.get("x-gitlab-token") and "webhook-signature" not in headers:
        check_token(headers["x-gitlab-token"], secrets)
        # X-Gitlab-Webhook-UUID is new with every attempt; one X-Gitlab-Event-UUID is shared by all that an action sets
        # off: neither tells deliveries apart. GitLab before 17.4 is told apart by its bodies.
        verified = Verified(delivery_id(headers, ("idempotency-key",), body, now), None, SenderProof.TOKEN)
    else:
        verified = verify_generic(headers, body, secrets, now)
    event = headers.get("x-gitlab-event") or None
    if event is not None and not _EVENT.fullmatch(event):
        raise BadDelivery("x-gitlab-event: the name of an event expected", "x-gitlab-event")
    return replace(verified, event=event)
