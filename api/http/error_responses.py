"""Render errors as responses in the error model of the surface that serves the path."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus

from aiohttp import web
from pydantic import TypeAdapter

from api.http.calls import SURFACE, Surface
from api.http.problems import Problem
from storage.ids import randomness

REQUEST_ID_HEADER = "X-Request-Id"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_random_ids = randomness(16)


class ErrorResponses:
    """The error responses of an application. `headers` are set on each of them, as on all other responses."""

    def __init__(self, surfaces: Sequence[Surface], headers: Mapping[str, str]) -> None:
        self._longest_first = sorted(surfaces, key=lambda surface: len(surface.mount), reverse=True)
        self._adapters = {surface: TypeAdapter(surface.error_model) for surface in surfaces}
        self._headers = headers

    def to(self, request: web.BaseRequest, problem: Problem) -> web.Response:
        """Return the response to a request."""
        return self._render(request[SURFACE] if SURFACE in request else self._surface_at(problem.path), problem)

    def to_nobody(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> web.Response:
        """Return a response to what is no request, or none that was read: the shortest mount's."""
        problem = Problem(status, message, "/", new_request_id(), headers=headers or {})
        return self._render(self._surface_at(problem.path), problem)

    def _surface_at(self, path: str) -> Surface:
        """Return the surface that serves a path; the shortest mount serves what is under no mount."""
        return next((one for one in self._longest_first if one.serves(path)), self._longest_first[-1])

    def _render(self, surface: Surface, problem: Problem) -> web.Response:
        shown = replace(problem, message=printable(problem.message), path=printable(problem.path))
        response = web.Response(
            body=self._adapters[surface].dump_json(surface.render(shown), by_alias=True),
            status=problem.status,
            content_type=surface.error_media_type,
            headers={**self._headers, **problem.headers, REQUEST_ID_HEADER: problem.request_id},
        )
        if problem.status == HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = surface.challenge
        return response


ERROR_RESPONSES: web.AppKey[ErrorResponses] = web.AppKey("error_responses", ErrorResponses)


def request_id_of(request: web.BaseRequest) -> str:
    """Return the request id that a request names, if it is fit, or a new one."""
    given = request.headers.get(REQUEST_ID_HEADER)
    return given if given is not None and _REQUEST_ID.fullmatch(given) else new_request_id()


def new_request_id() -> str:
    """Return a request id that nobody else has."""
    return next(_random_ids).hex()


def printable(text: str) -> str:
    """Return the text with surrogates, undecodable bytes of the request line, escaped: JSON cannot carry them."""
    return text.encode(errors="backslashreplace").decode()
