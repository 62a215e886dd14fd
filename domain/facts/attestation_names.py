"""Names of attestations."""

UNNAMED = "type:"
"""The prefix of the key of an attestation without a name."""
SENT = "sender:"
"""The prefix of the key of what a sender tells apart by itself."""

RESERVED = (UNNAMED, SENT)
"""Prefixes of keys that no name may have: a result of that name would replace another's."""


def checked_name(name: str) -> str:
    """Return the name. Raises ValueError if it could be taken for the key of another attestation."""
    for prefix in RESERVED:
        if name.startswith(prefix):
            raise ValueError(f"must not begin with '{prefix}'")
    return name
