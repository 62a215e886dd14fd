"""The outermost layer: assign a request id, find the surface, and render every exception as its error model."""

import re
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import TypeAdapter

from api.http.binding import Endpoint, register
from api.http.calls import REQUEST_ID, SURFACE, Surface
from api.http.problems import Problem, opaque_problem, problem_of
from storage.ids import randomness

REQUEST_ID_HEADER = "X-Request-Id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_fresh_ids = randomness(16)
_STARTED: web.RequestKey[web.StreamResponse] = web.RequestKey("started", web.StreamResponse)

_log = structlog.get_logger(__name__)


def install(app: web.Application, surfaces: Sequence[Surface]) -> list[tuple[Endpoint, ...]]:
    """Add the middleware and all routes of these surfaces to an application.

    Returns the endpoints of each surface, from which its OpenAPI document is made.
    """
    app.middlewares.append(surface_middleware(surfaces))
    app.on_response_prepare.append(_stamp)
    return [register(app, surface) for surface in surfaces]


def surface_middleware(surfaces: Sequence[Surface]) -> Middleware:
    """Return the outermost middleware. Errors of a path under no mount are rendered by the shortest mount."""
    longest_first = sorted(surfaces, key=lambda surface: len(surface.mount), reverse=True)
    adapters = {surface: TypeAdapter(surface.error_model) for surface in surfaces}

    def surface_of(request: web.Request) -> Surface:
        if SURFACE in request:
            return request[SURFACE]
        return next((one for one in longest_first if one.serves(request.path)), longest_first[-1])

    @web.middleware
    async def render_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID] = _request_id(request)
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < HTTPStatus.BAD_REQUEST:
                raise
            return _refusal(request, error)
        except Exception as error:  # noqa: BLE001 - an unexpected exception becomes an opaque 500
            return _refusal(request, error)

    def _refusal(request: web.Request, error: Exception) -> web.StreamResponse:
        if _STARTED in request:
            return _aborted(request, request[_STARTED], error)
        path = _printable(request.path)
        problem = problem_of(error, path, request[REQUEST_ID])
        if problem is None:
            _report(request, error)
            problem = opaque_problem(path, request[REQUEST_ID])
        surface = surface_of(request)
        response = _response(surface, adapters[surface], replace(problem, message=_printable(problem.message)))
        return _closing_if_unreadable(request, response)

    return render_errors


def _request_id(request: web.Request) -> str:
    given = request.headers.get(REQUEST_ID_HEADER)
    return given if given is not None and _REQUEST_ID.fullmatch(given) else next(_fresh_ids).hex()


async def _stamp(request: web.Request, response: web.StreamResponse) -> None:
    """Set the request id just before the head of any response is written, streamed ones included."""
    request[_STARTED] = response
    if REQUEST_ID in request:
        response.headers[REQUEST_ID_HEADER] = request[REQUEST_ID]


def _response(surface: Surface, adapter: TypeAdapter[Any], problem: Problem) -> web.Response:
    response = web.Response(
        body=adapter.dump_json(surface.render(problem), by_alias=True),
        status=problem.status,
        content_type=surface.error_media_type,
        headers=problem.headers,
    )
    if problem.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = surface.challenge
    if problem.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        response.force_close()  # do not read the rest of the body
    return response


def _closing_if_unreadable(request: web.Request, response: web.Response) -> web.Response:
    """Announce the end of a connection whose next request cannot be found, as the body could not be decoded."""
    if request.content.exception() is not None:
        response.force_close()
    return response


def _aborted(request: web.Request, started: web.StreamResponse, error: Exception) -> web.StreamResponse:
    """Close the connection: the head is sent, so an incomplete response is the only way to report a failure."""
    _report(request, error)
    if request.transport is not None:
        request.transport.close()
    return started


def _report(request: web.Request, error: Exception) -> None:
    """Log an unexpected exception; a client that disconnected is not an error."""
    facts = {"request_id": request[REQUEST_ID], "method": request.method, "path": _printable(request.path)}
    if request.transport is None or request.transport.is_closing():
        _log.info("client went away", **facts)
    else:
        _log.error("request failed", exc_info=error, **facts)


def _printable(text: str) -> str:
    """Escape surrogates (undecodable bytes of the request line), which JSON cannot carry."""
    return text.encode(errors="backslashreplace").decode()
