"""Errors independent of a surface's wire form: an exception becomes a `Problem`, which the surface renders."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus

from aiohttp import hdrs, web
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from domain.errors import (
    Conflict,
    FieldError,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Rejected,
    Stale,
    Throttled,
    TooLarge,
    TrailgateError,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
    Upstream,
)
from storage.database import CONTENDED

MAX_DETAILS = 20
MAX_SEGMENTS = 10
MAX_SEGMENT_LENGTH = 80
MAX_MESSAGE_LENGTH = 300

OPAQUE_MESSAGE = "The server failed to process this request. Quote the request id when you report it."

STATUS: Mapping[type[TrailgateError], int] = {
    Invalid: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Gone: 410,
    Stale: 412,
    TooLarge: 413,
    UnsupportedMedia: 415,
    Rejected: 422,
    Throttled: 429,
    Upstream: 502,
    Unavailable: 503,
}
"""The status code of every error class in domain/errors.py; a subclass has that of its class."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error that `Surface.render` turns into the surface's error model.

    `error` is the domain error behind it, if any, for surfaces that distinguish kinds (`Conflict.kind`).
    """

    status: int
    message: str
    path: str
    request_id: str
    details: tuple[FieldError, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    error: TrailgateError | None = None
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def reason(self) -> str:
        """The reason phrase of the status (RFC 9110, section 15)."""
        return HTTPStatus(self.status).phrase


def problem_of(error: Exception, path: str, request_id: str) -> Problem | None:
    """Return the problem for an expected exception, or None for an unexpected one."""
    if isinstance(error, CONTENDED):
        error = Unavailable("Another request changed the same records at the same moment; send this one again.")
    status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), None)
    if isinstance(error, TrailgateError) and status is not None:
        details = error.details if isinstance(error, Invalid | Rejected) else ()
        return Problem(status, error.message, path, request_id, details, _retry_header(error), error)
    if isinstance(error, web.HTTPException) and error.status >= HTTPStatus.BAD_REQUEST:
        return _router_problem(error, path, request_id)
    return None


def opaque_problem(path: str, request_id: str) -> Problem:
    """Return the problem for an unexpected exception, which reveals nothing about its cause."""
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, OPAQUE_MESSAGE, path, request_id)


def invalid_input(error: ValidationError, where: str = "") -> Invalid:
    """Return a pydantic validation error as Invalid, without the input itself, which may hold secrets.

    `where` is put before every field path; at most 20 errors are listed.
    """
    found = error.errors(include_input=False, include_url=False, include_context=False)
    details = tuple(_field_error(one, where) for one in found[:MAX_DETAILS])
    first = details[0]
    message = f"{first.field}: {first.message}" if first.field else first.message
    rest = len(found) - 1
    return Invalid(f"{message} (and {rest} more)" if rest else message, details)


def invalid_under(where: str, error: Invalid) -> Invalid:
    """Return the same error with its field paths below `where`, for JSON inside a form field."""
    if not error.details:
        return Invalid.of(where, error.message)
    return invalid_fields(FieldError(dotted((where, one.field)), one.message) for one in error.details)


def invalid_fields(details: Iterable[FieldError]) -> Invalid:
    """Return several field errors as one Invalid."""
    named = tuple(details)[:MAX_DETAILS]
    return Invalid("; ".join(f"{one.field}: {one.message}" for one in named), named)


def dotted(path: Iterable[int | str]) -> str:
    """Return a field path as text, such as `tags.0.name`, cut to 10 segments of 80 characters."""
    segments = [str(segment)[:MAX_SEGMENT_LENGTH] for segment in path]
    return ".".join(segments[:MAX_SEGMENTS])


_BLANK = r"String should match pattern '\S'"
"""pydantic's message for a text without a visible character (`api.http.texts.Name`)."""
_OURS = {_BLANK: "must not be blank", "Extra inputs are not permitted": "is not a field of this request"}


def _field_error(one: ErrorDetails, where: str) -> FieldError:
    path = (where, *one["loc"]) if where else one["loc"]
    message = one["msg"].removeprefix("Value error, ")[:MAX_MESSAGE_LENGTH]
    return FieldError(dotted(path), _OURS.get(message, message))


def _retry_header(error: TrailgateError) -> dict[str, str]:
    """Return `Retry-After` in seconds (RFC 9110, section 10.2.3) for errors that are worth a retry."""
    if isinstance(error, Conflict) and error.kind == "race":
        return {"Retry-After": "1"}
    return {"Retry-After": str(error.retry_after)} if isinstance(error, Throttled | Unavailable) else {}


def _router_problem(error: web.HTTPException, path: str, request_id: str) -> Problem:
    """Return aiohttp's own error with its headers; its default texts ("404: Not Found") are replaced."""
    headers = {name: value for name, value in error.headers.items() if name != hdrs.CONTENT_TYPE}
    message = error.text if error.text and not error.text.startswith(f"{error.status}: ") else error.reason
    if isinstance(error, web.HTTPNotFound):
        message = "Nothing is served at this path"
    if isinstance(error, web.HTTPMethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        message = f"{error.method} is not allowed at this path; allowed: {headers['Allow']}"
    return Problem(error.status, message, path, request_id, headers=headers)
