"""What an organisation may be called in a path (ARCHITECTURE.md 3)."""

import re

from domain.errors import Invalid

_FIRST_SEGMENTS = """
actuator admin api api-docs app assets auth callback changes docs favicon graphql health help home login logout metrics
oauth2 openapi provenance ready receipts reports robots scans slack sso static status swagger-ui system trailgate ui v1
v2 v3 webhooks www
"""
RESERVED = frozenset(_FIRST_SEGMENTS.split())
"""First path segments that are, or may become, ours."""

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_UUID_SHAPED = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")


def check_slug(slug: str) -> None:
    """Raises Invalid: `/api/v2` tells an organisation from an id by its shape, so a slug must never look like one."""
    if not _SLUG.fullmatch(slug):
        raise Invalid.of("slug", "must be 1 to 63 of a-z, 0-9 and '-', and begin with a letter or digit")
    if _UUID_SHAPED.fullmatch(slug):
        raise Invalid.of("slug", "must not look like a UUID")
    if slug in RESERVED:
        raise Invalid.of("slug", f"{slug!r} is reserved")
