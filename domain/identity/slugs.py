"""Slugs: the names of organisations in URL paths."""

import re

from domain.errors import Invalid

_FIRST_SEGMENTS = """
actuator admin api api-docs app assets auth callback changes docs favicon graphql health help home invitations login
logout metrics oauth2 openapi provenance ready receipts reports robots scans slack sso static status swagger-ui system
trailgate ui v1 v2 v3 webhooks www
"""
RESERVED = frozenset(_FIRST_SEGMENTS.split())
"""First path segments that Trailgate uses or may use."""

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_UUID_SHAPED = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")


def is_slug(text: str) -> bool:
    """Whether a text has the form of a slug."""
    return _SLUG.fullmatch(text) is not None


def check_slug(slug: str) -> None:
    """Raise Invalid for a bad slug. `/api/v2` takes whatever looks like a UUID for an id, so a slug must not."""
    if not is_slug(slug):
        raise Invalid.of("slug", "must have 1 to 63 characters of a-z, 0-9 and '-', and begin with a letter or a digit")
    if _UUID_SHAPED.fullmatch(slug):
        raise Invalid.of("slug", "must not look like a UUID")
    if slug in RESERVED:
        raise Invalid.of("slug", f"{slug!r} is reserved; choose another name")
