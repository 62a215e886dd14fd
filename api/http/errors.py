"""How this surface says what went wrong (facts.md 2.2)."""

from typing import Annotated

from pydantic import Field

from api.http.problems import Problem
from api.http.wire import Instant, WireModel


class FieldErrorOut(WireModel):
    """One field that was refused."""

    field: str
    message: str


class ErrorOut(WireModel):
    """The error object of every refusal. `error` is the reason phrase; clients read `message` first."""

    status: Annotated[int, Field(examples=[400])]
    error: Annotated[str, Field(examples=["Bad Request"])]
    message: str
    timestamp: Instant
    path: str
    request_id: str
    details: list[FieldErrorOut]


def render_error(problem: Problem) -> ErrorOut:
    """Any problem in this surface's form."""
    return ErrorOut(
        status=problem.status,
        error=problem.reason,
        message=problem.message,
        timestamp=problem.at,
        path=problem.path,
        request_id=problem.request_id,
        details=[FieldErrorOut(field=detail.field, message=detail.message) for detail in problem.details],
    )
