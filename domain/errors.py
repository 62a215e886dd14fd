"""The errors every room may raise; each API surface maps them to its wire form once.

The set is closed (ARCHITECTURE.md 4.3, "conflict codes"): a new failure is one of these with a better message, not a
new class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one input field. `field` is a dotted path such as `tags.team`, or the empty string."""

    field: str
    message: str


class TrailgateError(Exception):
    """A refusal whose message may be shown to the caller."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Invalid(TrailgateError):  # noqa: N818 - these read as outcomes: "raise NotFound"
    """Input that can never be accepted as it stands (400)."""

    def __init__(self, message: str, details: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)

    @classmethod
    def of(cls, field: str, message: str) -> "Invalid":
        """One field, one reason; the message names the field as well."""
        return cls(f"{field}: {message}", (FieldError(field, message),))


class Unauthenticated(TrailgateError):  # noqa: N818
    """No credential, or one that does not hold (401)."""


class Forbidden(TrailgateError):  # noqa: N818
    """The caller may see the thing but not do this to it (403)."""


class NotFound(TrailgateError):  # noqa: N818
    """It does not exist, or the caller may not know that it does (404)."""


class Conflict(TrailgateError):  # noqa: N818
    """The state of the record stands against it (409). Kosli's clients retry races, so the kind is told apart."""

    def __init__(self, message: str, kind: Literal["duplicate", "race", "state"] = "duplicate") -> None:
        super().__init__(message)
        self.kind = kind


class Gone(TrailgateError):  # noqa: N818
    """It existed and was removed for good (410)."""


class Stale(TrailgateError):  # noqa: N818
    """`If-Match` names another version than the current one (412)."""


class TooLarge(TrailgateError):  # noqa: N818
    """More bytes than the route takes (413)."""


class UnsupportedMedia(TrailgateError):  # noqa: N818
    """A media type that the route does not read (415)."""


class Rejected(TrailgateError):  # noqa: N818
    """Well-formed, but a rule of the business forbids it (422)."""

    def __init__(self, message: str, details: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)


class Throttled(TrailgateError):  # noqa: N818
    """Too many requests (429). `retry_after` in seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Upstream(TrailgateError):  # noqa: N818
    """A system we asked failed us (502)."""


class Unavailable(TrailgateError):  # noqa: N818
    """We cannot take it now; the sender should come back (503). `retry_after` in seconds."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after
