"""Artifact digests: clients write them in several ways, Trailgate stores one."""

import re

SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
"""A SHA-256 as it is stored."""

_HEX = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.IGNORECASE)


def normalise_digest(text: str) -> str:
    """Return `sha256:` and 64 lower-case digits for any spelling of a SHA-256; any other text unchanged."""
    if SHA256.fullmatch(text):  # as almost all are; to ignore case takes five times as long
        return text
    found = _HEX.fullmatch(text.strip())
    return f"sha256:{found[1].lower()}" if found else text
