"""String types of limited length for request models. 255 characters is OpenFactstore's column width."""

from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Strict, StringConstraints

T = TypeVar("T")

Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"\S")]
"""A name: not blank."""
Short = Annotated[str, StringConstraints(max_length=255)]
Long = Annotated[str, StringConstraints(max_length=2048)]
Text = Annotated[str, StringConstraints(max_length=65_536)]
Url = Annotated[str, StringConstraints(max_length=2048)]
Flag = Annotated[bool, Strict()]
"""A JSON `true` or `false`; strings and numbers are rejected."""


def _given(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


OrBlank = Annotated[T | None, BeforeValidator(_given)]
"""`OrBlank[Name]`: a blank text counts as absent, as null does. As a pattern it would be found in every name."""
