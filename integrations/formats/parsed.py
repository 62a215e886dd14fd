"""What a parser of evidence files offers: a path in, a verdict with its numbers out.

A parser is synchronous and bounded in bytes, memory and time; its caller runs it off the event loop.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

MAX_TEXT = 200
"""Characters of the file's own text that one value of the details may repeat."""


@dataclass(frozen=True, slots=True)
class ParsedEvidence:
    """What a file says of the attestation it is evidence for.

    `passed` None = nothing can be said yet (PENDING). `details` is plain JSON without NUL or lone surrogates, at most
    16 KiB when written as UTF-8; with the key `error` the file could not be read. `reason` says why it did not pass.
    """

    passed: bool | None
    details: Mapping[str, Any]
    reason: str | None = None


class Unreadable(Exception):  # noqa: N818
    """The file is not what the type of its attestation promises. The message is short, and safe to show."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a parser has to give up: seconds on the monotonic clock."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """The moment that many seconds from now."""
        return cls(monotonic() + seconds)

    def check(self) -> None:
        """Raises Unreadable once the time is up."""
        if monotonic() > self.at:
            raise Unreadable("Reading the file took too long")


Parser = Callable[[Path, Deadline], ParsedEvidence]
"""Reads one file. Raises Unreadable for content, OSError only for the disk."""


def require_size(path: Path, most: int) -> None:
    """Raises Unreadable for an empty file and for one of more than `most` bytes, before a byte of it is read."""
    size = path.stat().st_size
    if size == 0:
        raise Unreadable("The file is empty")
    if size > most:
        raise Unreadable(f"The file is larger than the {most >> 20} MiB that are read of this format")


def shown(text: str) -> str:
    """A short piece of the file's own text, with a replacement character for each that does not print."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text[:MAX_TEXT])
