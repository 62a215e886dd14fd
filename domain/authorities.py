"""Hosts with their ports, as `Host` and `Origin` name them (RFC 9110, section 7.2; RFC 6454, section 7)."""

from contextlib import suppress
from urllib.parse import urlsplit

Authority = tuple[str, int | None]
"""The host in lower case, and the port if one is named."""


def authority_of(text: str) -> Authority | None:
    """Return the authority of `host` or `host:port`; None if there is no host."""
    with suppress(ValueError):
        parts = urlsplit(f"//{text}")
        if parts.hostname:
            return parts.hostname, parts.port
    return None


def authority_of_url(url: str) -> Authority | None:
    """Return the authority of a URL; None if there is no host."""
    return authority_of(urlsplit(url).netloc)
