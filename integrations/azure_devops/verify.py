"""Prove a delivery of Azure DevOps, whose service hooks sign nothing: only a secret in clear says who sends.

A tampered body or a replay with another id cannot be noticed; without TLS anybody on the way learns the secret. No
reconciling: Azure DevOps repeats what failed for a passing reason (408, 502 to 504) up to eight times by itself, and
its API lists old notifications but cannot be asked to send one again.
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


def verify(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime, /) -> Verified:  # noqa: ARG001 - nothing is dated
    """Check `X-Trailgate-Token`, else the password of HTTP Basic (RFC 7617) whatever the user name; id from the body.

    Raises BadSignature with the codes of `check_token` and authorization_malformed; once the secret holds, BadDelivery
    for a body that is no notification or whose id cannot be stored.
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
