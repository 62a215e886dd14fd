"""Names of attestations."""

UNNAMED = "type:"
"""The prefix of the key of an attestation without a name, which no name may have."""


def checked_name(name: str) -> str:
    """Return the name. Raises ValueError if it could be taken for the key of an attestation without a name."""
    if name.startswith(UNNAMED):
        raise ValueError(f"must not begin with '{UNNAMED}'")
    return name
