"""The secrets that sign outgoing webhooks, in the format of Standard Webhooks 1.0: `whsec_` and base64."""

import binascii
from base64 import b64decode, b64encode

from domain.errors import Invalid

PREFIX = "whsec_"
NEW_KEY = 32
"""Bytes of a generated key."""
MIN_KEY, MAX_KEY = 24, 64


def written_secret(key: bytes) -> str:
    """Write a key as text, in the form that both sides store."""
    return PREFIX + b64encode(key).decode()


def checked_secret(text: object, field: str) -> str:
    """Validate a client's own secret and return it with its prefix, which may be omitted. Raises Invalid."""
    try:
        key = b64decode(text.removeprefix(PREFIX), validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        key = b""
    if not MIN_KEY <= len(key) <= MAX_KEY:
        raise Invalid.of(field, f"must be {PREFIX} followed by the base64 of {MIN_KEY} to {MAX_KEY} bytes")
    return written_secret(key)
