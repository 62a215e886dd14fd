"""Digests as they are sent (facts.md 6.1, W16)."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from domain.facts.digests import normalise_digest

Sha256 = Annotated[
    str, StringConstraints(pattern=r"^(?:[Ss][Hh][Aa]256:)?[0-9A-Fa-f]{64}$"), AfterValidator(normalise_digest)
]
"""A SHA-256 in any spelling: upper case and bare hex too. Inside it has one: `sha256:` and 64 lower-case digits."""
