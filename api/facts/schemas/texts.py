"""Texts of bounded length, shared by this surface's models (columns are 255 in the original)."""

from typing import Annotated

from pydantic import Strict, StringConstraints

from domain.errors import Rejected

Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"\S")]
"""A name: not blank."""
Short = Annotated[str, StringConstraints(max_length=255)]
Long = Annotated[str, StringConstraints(max_length=2048)]
Text = Annotated[str, StringConstraints(max_length=65_536)]
Url = Annotated[str, StringConstraints(max_length=2048)]
Flag = Annotated[bool, Strict()]
"""In a body: true or false, and nothing that looks like it."""


def refuse_template(text: str | None) -> None:
    """Raises Rejected: what is not evaluated yet must not be stored, or dropped, as if it were."""
    if text:
        raise Rejected(
            "templateYaml: templates are not evaluated by this version; list the types in requiredAttestations"
        )
