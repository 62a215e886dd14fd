"""Versions on the wire: the ETag that a thing was read with, and changes made to that version or not at all."""

import re
from typing import Annotated

from api.http.calls import Header

IfMatch = Annotated[str | None, Header("If-Match")]
"""The ETag that a thing was read with (RFC 9110, section 13.1.1)."""

_TAG = re.compile(r'(")?([0-9]{1,9})(?(1)")')


def etag(version: int) -> dict[str, str]:
    """The header that names a version (RFC 9110, section 8.8.3)."""
    return {"ETag": f'"{version}"'}


def expected_versions(if_match: str | None) -> frozenset[int] | None:
    """The versions that `If-Match` names; None where any will do. What is none of our tags names none."""
    if if_match is None or if_match.strip() == "*":
        return None
    tags = (_TAG.fullmatch(tag.strip()) for tag in if_match.split(","))
    return frozenset(int(tag[2]) for tag in tags if tag)
