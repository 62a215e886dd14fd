"""Digests in requests: clients send several spellings, and all of them must find the same artifact."""

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from domain.facts.digests import normalise_digest

Sha256 = Annotated[
    str, StringConstraints(pattern=r"^(?:[Ss][Hh][Aa]256:)?[0-9A-Fa-f]{64}$"), AfterValidator(normalise_digest)
]
"""A SHA-256 in either case, with or without `sha256:`; normalised to `sha256:` and 64 lower-case digits."""
