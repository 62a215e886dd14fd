"""The errors that every package may raise; each API surface maps them to its own responses in one place.

The set is closed, so that the mappings stay complete: for a new failure, use one of these classes with a good message.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


@dataclass(frozen=True, slots=True)
class FieldError:
    """One problem with one input field. `field` is a dotted path such as `tags.team`, or the empty string."""

    field: str
    message: str


class Denial(StrEnum):
    """Why somebody was denied access. The value is a label of the metric that counts denials, and in the audit."""

    NO_CREDENTIAL = "no_credential"
    INVALID_CREDENTIAL = "invalid_credential"
    CI_TOKEN = "ci_token"  # noqa: S105 - the name of a reason
    SIGNATURE = "signature"
    PERMISSION = "permission"
    ORGANISATION = "organisation"
    FOREIGN_PAGE = "foreign_page"
    FOREIGN_HOST = "foreign_host"


class TrailgateError(Exception):
    """An expected error. Its message may be shown to the caller.

    `limit` is the name of the limit that the request exceeds, if that is the reason. `denial` is the reason if access
    was denied: what this kind of error usually means, unless given.
    """

    denial: Denial | None = None

    def __init__(self, message: str, *, limit: str | None = None, denial: Denial | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.limit = limit
        self.denial = denial or self.denial


class Invalid(TrailgateError):  # noqa: N818 - these read as outcomes: "raise NotFound"
    """Input that is never acceptable, whatever the state of the records (400)."""

    def __init__(self, message: str, details: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)

    @classmethod
    def of(cls, field: str, message: str) -> "Invalid":
        """Make an error about one field; the message also names the field."""
        return cls(f"{field}: {message}", (FieldError(field, message),))


class Unauthenticated(TrailgateError):  # noqa: N818
    """The credential is missing or not valid (401)."""

    denial = Denial.INVALID_CREDENTIAL


class Forbidden(TrailgateError):  # noqa: N818
    """The caller may see the resource but may not do this to it (403)."""

    denial = Denial.PERMISSION


class NotFound(TrailgateError):  # noqa: N818
    """The resource does not exist, or the caller may not know that it does (404)."""


class Conflict(TrailgateError):  # noqa: N818
    """The request conflicts with the state of a record (409).

    Kosli's clients retry every 409, so its surface must answer 409 to `race` alone: hence the `kind`.
    """

    def __init__(
        self, message: str, kind: Literal["duplicate", "race", "state"] = "duplicate", *, limit: str | None = None
    ) -> None:
        super().__init__(message, limit=limit)
        self.kind = kind


class Gone(TrailgateError):  # noqa: N818
    """The resource existed and was removed permanently (410)."""


class Stale(TrailgateError):  # noqa: N818
    """`If-Match` names a version that is not the current one (412)."""


class TooLarge(TrailgateError):  # noqa: N818
    """The body is larger than the route accepts (413)."""


class UnsupportedMedia(TrailgateError):  # noqa: N818
    """The route does not accept this media type (415)."""


class Rejected(TrailgateError):  # noqa: N818
    """Well-formed input that a business rule forbids (422)."""

    def __init__(self, message: str, details: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)


class Throttled(TrailgateError):  # noqa: N818
    """Too many requests (429). `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int, *, limit: str | None = None) -> None:
        super().__init__(message, limit=limit)
        self.retry_after = retry_after


class Upstream(TrailgateError):  # noqa: N818
    """An external system failed to answer as needed (502)."""


class Unavailable(TrailgateError):  # noqa: N818
    """The request cannot be served now; the client should retry (503). `retry_after` is in seconds."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after
