"""The outermost layer: a request id, the choice of the surface, and every exception in that surface's dialect."""

import re
from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from secrets import token_hex
from typing import Any

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import TypeAdapter

from api.http.binding import Endpoint, register
from api.http.calls import REQUEST_ID, SURFACE, Surface
from api.http.problems import Problem, opaque_problem, problem_of

REQUEST_ID_HEADER = "X-Request-Id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_STARTED: web.RequestKey[web.StreamResponse] = web.RequestKey("started", web.StreamResponse)

_log = structlog.get_logger(__name__)


def install(app: web.Application, surfaces: Sequence[Surface]) -> list[tuple[Endpoint, ...]]:
    """Make an application serve these surfaces: middleware, request ids and all routes in order.

    The answer has the endpoints of each surface, for its document.
    """
    app.middlewares.append(surface_middleware(surfaces))
    app.on_response_prepare.append(_stamp)
    return [register(app, surface) for surface in surfaces]


def surface_middleware(surfaces: Sequence[Surface]) -> Middleware:
    """The outermost middleware. A path under no mount speaks the dialect of the shortest one."""
    longest_first = sorted(surfaces, key=lambda surface: len(surface.mount), reverse=True)
    adapters = {surface: TypeAdapter(surface.error_model) for surface in surfaces}

    def speaker(request: web.Request) -> Surface:
        if SURFACE in request:
            return request[SURFACE]
        return next((one for one in longest_first if one.serves(request.path)), longest_first[-1])

    @web.middleware
    async def speak(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID] = _request_id(request)
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < HTTPStatus.BAD_REQUEST:
                raise
            return _refusal(request, error)
        except Exception as error:  # noqa: BLE001 - the last line: whatever was not planned becomes an opaque 500
            return _refusal(request, error)

    def _refusal(request: web.Request, error: Exception) -> web.StreamResponse:
        if _STARTED in request:
            return _broken_off(request, request[_STARTED], error)
        path = _printable(request.path)
        problem = problem_of(error, path, request[REQUEST_ID])
        if problem is None:
            _report(request, error)
            problem = opaque_problem(path, request[REQUEST_ID])
        surface = speaker(request)
        response = _response(surface, adapters[surface], replace(problem, message=_printable(problem.message)))
        return _last_if_unreadable(request, response)

    return speak


def _request_id(request: web.Request) -> str:
    given = request.headers.get(REQUEST_ID_HEADER)
    return given if given is not None and _REQUEST_ID.fullmatch(given) else token_hex(16)


async def _stamp(request: web.Request, response: web.StreamResponse) -> None:
    """Runs when the head of any response is about to be written, streamed ones included."""
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
        response.force_close()  # the rest of the body is not worth reading
    return response


def _last_if_unreadable(request: web.Request, response: web.Response) -> web.Response:
    """A body that did not unpack leaves the connection in the middle of nowhere: say so instead of dropping it."""
    if request.content.exception() is not None:
        response.force_close()
    return response


def _broken_off(request: web.Request, started: web.StreamResponse, error: Exception) -> web.StreamResponse:
    """The head is out, so nothing more can be said: cut the connection and let the client see that."""
    _report(request, error)
    if request.transport is not None:
        request.transport.close()
    return started


def _report(request: web.Request, error: Exception) -> None:
    """Log what nobody planned; a client that went away is no failure of ours."""
    facts = {"request_id": request[REQUEST_ID], "method": request.method, "path": _printable(request.path)}
    if request.transport is None or request.transport.is_closing():
        _log.info("client went away", **facts)
    else:
        _log.error("request failed", exc_info=error, **facts)


def _printable(text: str) -> str:
    """Text that may hold surrogates (undecodable bytes of the request line) as text that JSON can carry."""
    return text.encode(errors="backslashreplace").decode()
