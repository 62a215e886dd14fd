"""The error object of the facts API."""

from typing import Annotated

from pydantic import Field

from api.http.problems import Problem
from api.http.wire import Instant, WireModel


class FieldErrorOut(WireModel):
    """A rejected field and the reason."""

    field: str
    message: str


class ErrorOut(WireModel):
    """The body of every error response. `error` is the reason phrase of the status; `message` says what is wrong.

    `limit` names the limit that the request exceeds, as in `GET /api/v1/limits`; null for other errors.
    """

    status: Annotated[int, Field(examples=[400])]
    error: Annotated[str, Field(examples=["Bad Request"])]
    message: str
    timestamp: Instant
    path: str
    request_id: str
    details: list[FieldErrorOut]
    limit: str | None = None


def render_error(problem: Problem) -> ErrorOut:
    """Return a problem as the error object."""
    return ErrorOut(
        status=problem.status,
        error=problem.reason,
        message=problem.message,
        timestamp=problem.at,
        path=problem.path,
        request_id=problem.request_id,
        details=[FieldErrorOut(field=detail.field, message=detail.message) for detail in problem.details],
        limit=problem.error.limit if problem.error else None,
    )
