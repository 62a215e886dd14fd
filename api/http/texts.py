"""String types of limited length for request models. 255 characters is OpenFactstore's column width."""

from typing import Annotated

from pydantic import Strict, StringConstraints

Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"\S")]
"""A name: not blank."""
Short = Annotated[str, StringConstraints(max_length=255)]
Long = Annotated[str, StringConstraints(max_length=2048)]
Text = Annotated[str, StringConstraints(max_length=65_536)]
Url = Annotated[str, StringConstraints(max_length=2048)]
Flag = Annotated[bool, Strict()]
"""A JSON `true` or `false`; strings and numbers are rejected."""
