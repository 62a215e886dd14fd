"""The outermost layer: assign a request id, and render every exception as the error model of its surface."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from api.http import metrics
from api.http.binding import Endpoint, register
from api.http.calls import PROVEN, REQUEST_ID, Surface
from api.http.cors import CORS, Cors
from api.http.error_responses import ERROR_RESPONSES, REQUEST_ID_HEADER, ErrorResponses, printable, request_id_of
from api.http.problems import opaque_problem, problem_of
from api.http.rate_limits import RATE_LIMITS
from api.http.sampling import SampledLog
from api.http.security_headers import Hosts, set_absent

SERVER = "Trailgate"
"""In place of the names and versions of Python and aiohttp."""
_STARTED: web.RequestKey[web.StreamResponse] = web.RequestKey("started", web.StreamResponse)

_log = structlog.get_logger(__name__)
_sampled = SampledLog()


def install(
    app: web.Application,
    surfaces: Sequence[Surface],
    headers: Mapping[str, str] | None = None,
    defaults: Mapping[str, str] | None = None,
    hosts: Hosts | None = None,
) -> list[tuple[Endpoint, ...]]:
    """Add the middleware and all routes of these surfaces to an application; every response has `headers`.

    `defaults` are set where a handler sets none of the same name; `hosts` None answers for all. `app[CORS]`, if any, is
    set before.

    Returns the endpoints of each surface, from which its OpenAPI document is made.
    """
    headers, defaults = {"Server": SERVER, **(headers or {})}, defaults or {}
    errors = app[ERROR_RESPONSES] = ErrorResponses(surfaces, {**defaults, **headers})
    cors = app.setdefault(CORS, Cors(()))
    endpoints = [register(app, surface) for surface in surfaces]
    limits = app[RATE_LIMITS]

    async def stamp(request: web.Request, response: web.StreamResponse) -> None:
        """Set the headers just before the head of any response is written, streamed ones included."""
        request[_STARTED] = response
        response.headers.update(headers)
        set_absent(response.headers, defaults)
        cors.mark(request, response)
        limits.mark(request, response)
        if REQUEST_ID in request:
            response.headers[REQUEST_ID_HEADER] = request[REQUEST_ID]

    app.middlewares.append(surface_middleware(errors, hosts or Hosts(None), cors))
    app.on_response_prepare.append(stamp)
    return endpoints


def surface_middleware(errors: ErrorResponses, hosts: Hosts, cors: Cors) -> Middleware:
    """Return the outermost middleware."""

    @web.middleware
    async def render_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID] = request_id_of(request)
        try:
            hosts.check(request)
            return cors.preflight(request) or await handler(request)
        except web.HTTPException as error:
            if error.status < HTTPStatus.BAD_REQUEST:
                raise
            return _refusal(request, error)
        except Exception as error:  # noqa: BLE001 - an unexpected exception becomes an opaque 500
            return _refusal(request, error)

    def _refusal(request: web.Request, error: Exception) -> web.StreamResponse:
        if _STARTED in request:
            return _aborted(request, request[_STARTED], error)
        problem = problem_of(error, request.path, request[REQUEST_ID])
        if problem is None:
            _report(request, error)
            problem = opaque_problem(request.path, request[REQUEST_ID])
        if problem.error and problem.error.denial:
            metrics.DENIED.labels(str(problem.status), problem.error.denial.value).inc()
        response = errors.to(request, problem)
        if not request.content.is_eof():
            response.force_close()  # do not read the rest of the body, or it could not be decoded
        return response

    return render_errors


def _aborted(request: web.Request, started: web.StreamResponse, error: Exception) -> web.StreamResponse:
    """Close the connection: the head is sent, so an incomplete response is the only way to report a failure."""
    _report(request, error)
    if request.transport is not None:
        request.transport.close()
    return started


def _report(request: web.Request, error: Exception) -> None:
    """Log an unexpected exception; a client that disconnected is not an error."""
    facts = {"request_id": request[REQUEST_ID], "method": request.method, "path": printable(request.path)}
    if request.transport is None or request.transport.is_closing():
        _sampled.line("client went away", "away", **facts)
    elif request.get(PROVEN):
        _log.error("request failed", exc_info=error, **facts)
    else:
        _sampled.failure("request failed", type(error).__name__, exc_info=error, **facts)
