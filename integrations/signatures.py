"""Authentication of deliveries: an HMAC of the body, Standard Webhooks 1.0, or a token sent in clear.

Every check works on bytes and tries all secrets without stopping at a match. Whatever the header, it raises only
BadSignature, with a reason code.
"""

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest, digest

from integrations.contract import BadSignature

MAX_HEADER_BYTES = 1024
TOLERANCE = timedelta(minutes=5)
"""How far a signed time may be in the past or in the future (Standard Webhooks 1.0)."""

_HEX_HMAC = re.compile(r"(?:sha256=)?([0-9A-Fa-f]{64})")
_MESSAGE_ID = re.compile(r"[!-\-/-~]{1,255}")  # printable ASCII except the full stop, the separator of signed content
_UNIX_SECONDS = re.compile(r"[0-9]{1,12}")
_SECRET_PREFIX = "whsec_"  # noqa: S105 - a prefix, not a secret


def check_body_hmac(header: str | None, body: bytes, secrets: Sequence[str]) -> None:
    """Check a hexadecimal HMAC-SHA256 of the raw body, with or without `sha256=` in front.

    Raises BadSignature: signature_missing, header_oversize, header_not_ascii, signature_malformed, signature_mismatch.
    """
    match = _HEX_HMAC.fullmatch(_header(header, "signature"))
    if match is None:
        raise BadSignature("signature_malformed")
    _check(body, [secret.encode() for secret in secrets], [bytes.fromhex(match[1])])


def check_standard_webhook(headers: Mapping[str, str], body: bytes, secrets: Sequence[str], now: datetime) -> str:
    """Check `webhook-id`, `webhook-timestamp` and `webhook-signature` by Standard Webhooks 1.0; return the id.

    Only the symmetric scheme `v1` counts; signatures of other versions in the list are ignored. Raises
    BadSignature: the codes of `check_body_hmac`, and id_missing, id_malformed, timestamp_missing, timestamp_malformed,
    timestamp_too_old, timestamp_too_new.
    """
    message_id = _header(headers.get("webhook-id"), "id")
    timestamp = _header(headers.get("webhook-timestamp"), "timestamp")
    signatures = _header(headers.get("webhook-signature"), "signature")
    if not _MESSAGE_ID.fullmatch(message_id):
        raise BadSignature("id_malformed")
    _check_time(timestamp, now)
    keys = [key for secret in secrets for key in _keys(secret)]
    _check(f"{message_id}.{timestamp}.".encode() + body, keys, _v1_signatures(signatures))
    return message_id


def check_token(header: str | None, secrets: Sequence[str]) -> None:
    """Check that a header is one of the secrets, which proves the sender but not the content (`X-Gitlab-Token`).

    A `whsec_…` secret is never accepted: it is for signing and must not be sent in clear. Raises BadSignature:
    token_missing, header_oversize, header_not_ascii, token_mismatch.
    """
    sent = sha256(_header(header, "token").encode()).digest()  # hashed: timing does not reveal a secret's length
    tokens = [secret.encode() for secret in secrets if secret and not secret.startswith(_SECRET_PREFIX)]
    if not sum(compare_digest(sent, sha256(token).digest()) for token in tokens):
        raise BadSignature("token_mismatch")


def _header(value: str | None, name: str) -> str:
    if not value:
        raise BadSignature(f"{name}_missing")
    if len(value) > MAX_HEADER_BYTES:
        raise BadSignature("header_oversize")
    if not value.isascii():
        raise BadSignature("header_not_ascii")
    return value


def _check_time(timestamp: str, now: datetime) -> None:
    if not _UNIX_SECONDS.fullmatch(timestamp):
        raise BadSignature("timestamp_malformed")
    age = now.timestamp() - int(timestamp)
    if abs(age) > TOLERANCE.total_seconds():
        raise BadSignature("timestamp_too_old" if age > 0 else "timestamp_too_new")


def _v1_signatures(header: str) -> list[bytes]:
    listed = (entry.partition(",") for entry in header.split())
    found = [_base64(text) for version, _, text in listed if version == "v1"]
    signatures = [signature for signature in found if len(signature) == sha256().digest_size]
    if not signatures:
        raise BadSignature("signature_malformed")
    return signatures


def _keys(secret: str) -> list[bytes]:
    """Return the keys that a configured secret may mean.

    `whsec_…` is base64. Other secrets are free text, which some libraries decode and others use unchanged.
    """
    decoded = _base64(secret.removeprefix(_SECRET_PREFIX))
    if decoded and secret.startswith(_SECRET_PREFIX):
        return [decoded]
    return [decoded, secret.encode()]


def _base64(text: str) -> bytes:
    """Decode base64, padding optional; empty if it is not base64."""
    unpadded = text.rstrip("=")
    try:
        return b64decode(unpadded + "=" * (-len(unpadded) % 4), validate=True)
    except ValueError:
        return b""


def _check(signed: bytes, keys: Sequence[bytes], signatures: Sequence[bytes]) -> None:
    matches = 0
    for key in filter(None, keys):  # an empty key is not secret: anybody can sign with it
        expected = digest(key, signed, "sha256")
        matches += sum(compare_digest(expected, signature) for signature in signatures)
    if not matches:
        raise BadSignature("signature_mismatch")
