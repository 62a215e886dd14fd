"""How an artifact's digest is spelled (facts.md 6.1): one spelling inside, many outside."""

import re

_HEX = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.IGNORECASE)


def normalise_digest(text: str) -> str:
    """`sha256:` and 64 lower-case digits for every spelling of a SHA-256; any other text as it is."""
    found = _HEX.fullmatch(text.strip())
    return f"sha256:{found[1].lower()}" if found else text
