"""The interface of evidence parsers: they take a path and return an outcome with details.

A parser is synchronous, with limits on bytes, memory and time; its caller runs it outside of the event loop.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

MAX_TEXT = 200
"""Characters of the file's text that one value of the details may contain."""


@dataclass(frozen=True, slots=True)
class ParsedEvidence:
    """The outcome of an evidence file.

    `passed` None = not decided yet (PENDING). `details` is plain JSON without NUL or lone surrogates, at most 16 KiB of
    UTF-8; the key `error` means that the file could not be read. `reason` says why it did not pass, and `doubt` why it
    would not pass whatever was found.
    """

    passed: bool | None
    details: Mapping[str, Any]
    reason: str | None = None
    doubt: str | None = None


class Unreadable(Exception):  # noqa: N818
    """The file is not of the format that its attestation's type requires. The message is short and safe to show."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a parser has to stop, in seconds of the monotonic clock."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Make the deadline that many seconds from now."""
        return cls(monotonic() + seconds)

    def check(self) -> None:
        """Raise Unreadable after the deadline."""
        if monotonic() > self.at:
            raise Unreadable("Reading the file took too long")


Parser = Callable[[Path, Deadline], ParsedEvidence]
"""Parses one file. Raises Unreadable for bad content, OSError only if the disk fails."""


def require_size(path: Path, most: int) -> None:
    """Raise Unreadable for an empty file and for one of more than `most` bytes, without reading it."""
    size = path.stat().st_size
    if size == 0:
        raise Unreadable("The file is empty")
    if size > most:
        raise Unreadable(f"The file is larger than {most >> 20} MiB, the limit for this format")


def shown(text: str) -> str:
    """Shorten a piece of the file's text and replace the characters that are not printable."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text[:MAX_TEXT])
