"""Verify a delivery of Azure DevOps. Its service hooks sign nothing: only a shared secret in clear proves the sender.

A tampered body, or a replay with another id, cannot be detected; without TLS the secret can be read on the way. There
is no reconciliation: Azure DevOps itself retries after transient errors (408, 502 to 504) up to eight times, and its
API lists old notifications but cannot redeliver them.
"""

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import datetime

from integrations.azure_devops.payloads import IdentifiedNotification
from integrations.contract import BadSignature, SenderProof, Verified
from integrations.deliveries import read
from integrations.signatures import MAX_HEADER_BYTES, check_token

_BASIC = re.compile(r"(?i:basic) +([A-Za-z0-9+/]+={0,2})")


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, /) -> Verified:  # noqa: ARG001 - no signed time
    """Check `X-Trailgate-Token`, else the password of HTTP Basic (RFC 7617) with any user name; read the id.

    Raises BadSignature with the codes of `check_token` and authorization_malformed; if the secret is right, BadDelivery
    for a body that is not a notification or whose id cannot be stored.
    """
    check_token(headers.get("x-trailgate-token") or _password(headers.get("authorization", "")), secrets)
    return Verified(read(IdentifiedNotification, body).id, None, SenderProof.TOKEN)


def _password(authorization: str) -> str:
    if len(authorization) > MAX_HEADER_BYTES:
        raise BadSignature("header_oversize")
    if not authorization.isascii():
        raise BadSignature("header_not_ascii")
    credentials = _BASIC.fullmatch(authorization)
    if authorization and not credentials:
        raise BadSignature("authorization_malformed")
    try:
        return b64decode(credentials[1], validate=True).decode().partition(":")[2] if credentials else ""
    except ValueError:
        raise BadSignature("authorization_malformed") from None
