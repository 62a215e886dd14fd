"""Secrets that outgoing webhooks are signed with, as Standard Webhooks 1.0 writes them: `whsec_` and base64."""

import binascii
from base64 import b64decode, b64encode

from domain.errors import Invalid

PREFIX = "whsec_"
NEW_KEY = 32
"""Bytes of a key that we make."""
MIN_KEY, MAX_KEY = 24, 64


def written_secret(key: bytes) -> str:
    """A key in the form in which both sides keep it."""
    return PREFIX + b64encode(key).decode()


def checked_secret(text: object, field: str) -> str:
    """A secret that somebody brings, in that form; the prefix may be left out. Raises Invalid, naming the field."""
    try:
        key = b64decode(text.removeprefix(PREFIX), validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        key = b""
    if not MIN_KEY <= len(key) <= MAX_KEY:
        raise Invalid.of(field, f"must be {PREFIX} and the base64 of {MIN_KEY} to {MAX_KEY} bytes")
    return written_secret(key)
