"""Bind routes to handlers at start-up: signature → readers → handler → answer.

The order inside every request: authenticate → permission → parameters → body. All that can be resolved at start-up is.
"""

from http import HTTPStatus
from typing import Any

from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from api.http.arguments import REQUIRED, Arguments, Body, Fields, FormBody, Parameter, read_arguments
from api.http.calls import PROVEN, REQUEST_ID, SERVICES, STAGING, SURFACE, Call, Reply, Route, Surface
from api.http.idempotency import keyed, known_answer, once, takes_key
from api.http.loop_shares import LOOP_SHARES, LoopShares
from api.http.problems import invalid_fields, invalid_input
from api.http.rate_limits import RATE_LIMITS, RateLimits
from api.http.reading import MAX_ON_LOOP, clean_text, guard, media_type, require_media_type
from api.http.routing import Table
from api.http.transport.bodies import Unread, expect_later, read_body
from api.http.transport.uploads import MULTIPART, UPLOAD_THREADS, URL_ENCODED, WRITERS, Form
from domain.errors import Denial, FieldError, Forbidden, Invalid
from domain.identity.permissions import Permission, Principal
from storage.threads import Threads, in_thread_if

OPERATION: web.RequestKey[str] = web.RequestKey("operation", str)
"""The operationId of the route that matched, for logs and metrics."""
TABLE: web.AppKey[Table] = web.AppKey("table", Table)
FORMS = frozenset({MULTIPART, URL_ENCODED})


class Endpoint:
    """One route with its signature and media types resolved; the router calls `answer`."""

    def __init__(self, surface: Surface, route: Route) -> None:
        self.surface = surface
        self.route = route
        self.signature: Arguments = read_arguments(route)
        self.accepts = accepted_types(surface, route, self.signature)
        self.produces = route.produces or surface.produces
        self.takes_key = takes_key(route, self.signature)
        self._path = tuple(one for one in self.signature.parameters if one.place == "path")
        self._headers = tuple(one for one in self.signature.parameters if one.place == "header")
        self.empty_status = HTTPStatus.NO_CONTENT if route.status == HTTPStatus.OK else route.status

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Serve one request. Errors are raised, and rendered by the middleware."""
        request[SURFACE] = self.surface
        request[OPERATION] = self.route.name
        call = Call(request.app[SERVICES], None, request, request[REQUEST_ID])
        if self.route.permission is None:
            if self.route.limit is not None:
                await request.app[RATE_LIMITS].admit_anonymous(request, self.route.limit)
            return await self._serve(call)
        call = await self._admitted(call, self.route.permission)
        request[PROVEN] = True
        try:
            return await request.app[LOOP_SHARES].run(call.caller.org_id, self._serve(call))
        except Forbidden as error:  # such as a role that the caller may not give
            await self._denied(call, self.route.permission, error)
            raise

    async def _serve(self, call: Call) -> web.StreamResponse:
        """Read what the handler takes, and call it."""
        request = call.request
        arguments = self._parameters(request)
        if self.signature.query is not None:
            arguments["query"] = _read_query(self.signature.query, request)
        content = b""
        if self.signature.raw:
            arguments["raw"] = self._raw(request)
        elif (form := self._expected_form(request)) is not None:
            return await self._answer_form(form, call, arguments)
        elif self.signature.body is not None:
            content = await self._read_json(self.signature.body, request, arguments)
        return await self._perform(call, arguments, content)

    async def _perform(self, call: Call, arguments: dict[str, Any], content: bytes | BaseModel) -> web.StreamResponse:
        """Call the handler, only once for all requests with the same Idempotency-Key."""

        async def perform(call: Call) -> web.StreamResponse:
            return self._reply(await self.route.handler(call, **arguments))

        repeatable = self.takes_key and not arguments.get("dry_run")
        request = keyed(call, self.signature, content) if repeatable else None
        if self.route.prepare is not None:
            if request and (known := await known_answer(call, request)):
                return known
            await self.route.prepare(call, **arguments)
        return await (once(call, request, perform) if request else perform(call))

    async def _admitted(self, call: Call, permission: Permission) -> Call:
        """Return the call with its principal. Raises Unauthenticated, or Forbidden when the permission is missing."""
        principal = await self.surface.authenticate(call.request)
        call = Call(call.services, principal, call.request, call.request_id)
        if reason := self._refusal(call.caller, permission):
            error = Forbidden(reason)
            await self._denied(call, permission, error)
            raise error
        return call

    async def _denied(self, call: Call, permission: Permission, error: Forbidden) -> None:
        if self.surface.denied is not None:
            await self.surface.denied(call, permission, error.denial or Denial.PERMISSION)

    def _refusal(self, caller: Principal, permission: Permission) -> str | None:
        """Return why the caller may not call this route; None if it may."""
        if not caller.may(permission):
            return f"This request needs the permission {permission.value}"
        if caller.scopes is not None and not self.route.scoped:
            return "This request needs a key without scopes: it concerns more than a flow, repository or environment"
        return None

    def _parameters(self, request: web.Request) -> dict[str, Any]:
        values: dict[str, Any] = {}
        refused: list[FieldError] = []
        for parameter in self._path:
            _convert(parameter, request.match_info[parameter.argument], values, refused)
        for parameter in self._headers:
            text = _header(parameter, request, refused)
            if text is not None:
                _convert(parameter, text, values, refused)
        if refused:
            raise invalid_fields(refused)
        return values

    def _raw(self, request: web.Request) -> Unread:
        if self.accepts:
            require_media_type(request, self.accepts)
        return Unread(request, self.route.max_body)

    def _expected_form(self, request: web.Request) -> FormBody | None:
        form, body = self.signature.form, self.signature.body
        return form if body is None or media_type(request) in FORMS else None

    async def _answer_form(self, wanted: FormBody, call: Call, arguments: dict[str, Any]) -> web.StreamResponse:
        if wanted.default is not REQUIRED and not call.request.can_read_body:
            return await self._perform(call, arguments, b"")
        media = require_media_type(call.request, self.accepts).partition(";")[0]
        form = Form(wanted.fields, self.route.max_body, call.principal.org_id if call.principal else None)
        try:
            arguments["form"] = await form.read(call.request, media)
            return await self._perform(call, arguments, arguments["form"])
        finally:
            form.discard()

    async def _read_json(self, wanted: Body, request: web.Request, arguments: dict[str, Any]) -> bytes:
        if wanted.default is not REQUIRED and not request.can_read_body:
            return b""
        require_media_type(request, self.accepts)
        raw = await read_body(request, self.route.max_body)
        if raw or wanted.default is REQUIRED:
            arguments["body"] = await _read_body(wanted.adapter, raw)
        return raw

    def _reply(self, result: Any) -> web.StreamResponse:
        if isinstance(result, web.StreamResponse):
            return result
        status, headers, body = None, None, result
        if isinstance(result, Reply):
            status, headers, body = result.status, result.headers, result.body
        adapter = self.signature.answer.body
        if body is None or adapter is None:
            return web.Response(status=status or self.empty_status, headers=headers)
        response = web.Response(
            body=adapter.dump_json(body, by_alias=True),
            status=status or self.route.status,
            content_type=self.produces,
        )
        if headers:
            response.headers.update(headers)
        return response


def accepted_types(surface: Surface, route: Route, signature: Arguments) -> tuple[str, ...]:
    """Return the media types a route reads: its own, or those of its handler's arguments. Empty means any."""
    if route.accepts or signature.raw:
        return route.accepts
    body = surface.accepts if signature.body else ()
    return (*body, MULTIPART) if signature.form else body


def register(app: web.Application, surface: Surface) -> tuple[Endpoint, ...]:
    """Add all routes of a surface to the application, in their order. GET routes serve HEAD as well.

    Raises TypeError for a signature that cannot be served, and ValueError for two handlers with the same name, a route
    without a permission that the surface does not list as exempt, and a route that another route of any surface
    duplicates or shadows.
    """
    endpoints = tuple(Endpoint(surface, route) for route in surface.routes)
    _check_names(surface)
    _check_exempt(surface)
    if STAGING not in app and any(endpoint.signature.form for endpoint in endpoints):
        raise ValueError(f"surface {surface.name} takes forms, but app[STAGING] names no directory")
    app.setdefault(LOOP_SHARES, LoopShares())
    app.setdefault(RATE_LIMITS, RateLimits({}))
    app.setdefault(WRITERS, Threads(UPLOAD_THREADS, "upload writers"))
    table = app.setdefault(TABLE, Table())
    explicit = {(route.method, route.plain_path) for route in surface.routes}
    for endpoint in endpoints:
        table.add(surface, endpoint.route, endpoint.signature)
    table.check()
    for endpoint in endpoints:
        route = endpoint.route
        resource = table.resource(app, surface.mount + route.path)
        resource.add_route(route.method, endpoint.answer, expect_handler=expect_later)
        if route.method == "GET" and ("HEAD", route.plain_path) not in explicit:
            resource.add_route("HEAD", endpoint.answer, expect_handler=expect_later)
    return endpoints


def _check_names(surface: Surface) -> None:
    seen: dict[str, Route] = {}
    for route in surface.routes:
        first = seen.setdefault(route.name, route)
        if first is not route:
            raise ValueError(
                f"surface {surface.name}: {first.method} {first.path} and {route.method} {route.path} "
                f"share the operationId {route.name}"
            )


def _check_exempt(surface: Surface) -> None:
    found = {route.name for route in surface.routes if route.permission is None}
    if found != surface.exempt:
        raise ValueError(
            f"surface {surface.name}: without permission but not listed as exempt: {sorted(found - surface.exempt)}; "
            f"listed but no such route: {sorted(surface.exempt - found)}"
        )


def _header(parameter: Parameter, request: web.Request, refused: list[FieldError]) -> str | None:
    """Return the text of a header parameter, or None when it is absent; note errors in `refused`."""
    mark = parameter.header
    if mark is None:
        return None
    for name in (mark.name, *mark.aliases):
        given = request.headers.getall(name, ())
        if len(given) > 1:
            refused.append(FieldError(name, "given twice"))
            return None
        if given:
            return given[0]
    if mark.query is not None and (given := request.query.getall(mark.query, [])):
        if len(given) > 1:
            refused.append(FieldError(mark.query, "given twice"))
            return None
        return given[0]
    if parameter.default is REQUIRED:
        refused.append(FieldError(mark.name, "this header is required"))
    return None


def _convert(parameter: Parameter, text: str, values: dict[str, Any], refused: list[FieldError]) -> None:
    try:
        clean = clean_text(parameter.wire_name, text)
        values[parameter.argument] = parameter.adapter.validate_python(clean)
    except ValidationError as error:
        refused.extend(invalid_input(error, parameter.wire_name).details)
    except Invalid as error:
        refused.extend(error.details)


def _read_query(fields: Fields, request: web.Request) -> Any:
    data = fields.gather(request.query.items()) if request.rel_url.raw_query_string else {}
    try:
        return fields.adapter.validate_python(data)
    except ValidationError as error:
        raise invalid_input(error) from error


async def _read_body(adapter: TypeAdapter[Any], raw: bytes) -> Any:
    """Screen and validate a body; a large one in a thread. Raises Invalid."""
    return await in_thread_if(len(raw) > MAX_ON_LOOP, _validated, adapter, raw)


def _validated(adapter: TypeAdapter[Any], raw: bytes) -> Any:
    text = guard(raw)
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        raise invalid_input(error) from error
