"""Optimistic locking over HTTP: versions as ETags, and `If-Match` to change only the version that was read."""

import re
from typing import Annotated

from api.http.calls import Header

IfMatch = Annotated[str | None, Header("If-Match")]
"""The ETag of the version to change (RFC 9110, section 13.1.1)."""

_TAG = re.compile(r'(")?([0-9]{1,9})(?(1)")')


def etag(version: int) -> dict[str, str]:
    """Return the ETag header of a version (RFC 9110, section 8.8.3)."""
    return {"ETag": f'"{version}"'}


def expected_versions(if_match: str | None) -> frozenset[int] | None:
    """Return the versions that `If-Match` names, or None when it allows any. Unknown tags are left out."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags = (_TAG.fullmatch(tag.strip()) for tag in if_match.split(","))
    return frozenset(int(tag[2]) for tag in tags if tag)
