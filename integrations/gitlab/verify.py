"""Verify a delivery of GitLab: by signing token, else by secret token, else by OpenFactstore's HMAC.

The secret token signs nothing: a body that was changed on the way cannot be detected, and only `Idempotency-Key`,
unchanged on redelivery since GitLab 17.4, protects against replays. There is no reconciliation: GitLab lists and
redelivers failed deliveries only for a maintainer's access token, which a webhook config does not have.
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
    """Check `webhook-signature` if present, else `X-Gitlab-Token`, else the headers of the generic format.

    The first header present decides alone: a valid token does not make up for a bad signature. The event is
    `X-Gitlab-Event`. Raises BadSignature, and BadDelivery for an event name or delivery id that cannot be stored.
    """
    if headers.get("x-gitlab-token") and "webhook-signature" not in headers:
        check_token(headers["x-gitlab-token"], secrets)
        # Neither of the other ids identifies a delivery: X-Gitlab-Webhook-UUID changes with every attempt, and all
        # hooks that an action triggers share one X-Gitlab-Event-UUID. For GitLab before 17.4 the body's hash is used.
        verified = Verified(delivery_id(headers, ("idempotency-key",), body, now), None, SenderProof.TOKEN)
    else:
        verified = verify_generic(headers, body, secrets, now)
    event = headers.get("x-gitlab-event") or None
    if event is not None and not _EVENT.fullmatch(event):
        raise BadDelivery("must be the name of an event", "x-gitlab-event")
    return replace(verified, event=event)
