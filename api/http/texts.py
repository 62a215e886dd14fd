"""Texts of bounded length, shared by this surface's models (columns are 255 in the original)."""

from typing import Annotated

from pydantic import Strict, StringConstraints

Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"\S")]
"""A name: not blank."""
Short = Annotated[str, StringConstraints(max_length=255)]
Long = Annotated[str, StringConstraints(max_length=2048)]
Text = Annotated[str, StringConstraints(max_length=65_536)]
Url = Annotated[str, StringConstraints(max_length=2048)]
Flag = Annotated[bool, Strict()]
"""In a body: true or false, and nothing that looks like it."""
