"""Limits on connections, whoever opens them: how many there are, and how long they may keep the server waiting.

aiohttp alone keeps a connection for as long as its client likes, answers what it cannot parse in a form of its own, and
reads a body that nobody wants for a second, however fast it comes.
"""

import asyncio
import resource
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import LineTooLong

from api.http import metrics
from api.http.error_responses import ERROR_RESPONSES, ErrorResponses, new_request_id, request_id_of
from api.http.problems import Problem, opaque_problem, problem_of
from api.http.sampling import SampledLog
from api.http.transport.addresses import network_of
from api.http.transport.bodies import MIN_RATE
from storage.settings import Settings

MAX_HEADER = 16 * 1024
MAX_HEAD = 64 * 1024
"""Bytes of all headers together; aiohttp limits each and their number, which allows megabytes per connection."""
READ_BUFFER = 64 * 1024
"""Bytes of a body that wait for their reader, before the connection is paused at twice as many."""
RESERVED_FILES = 128
"""Files that the process may open beside connections and its database pool: uploads, logs, evidence, Redis."""
MAX_DRAIN = 256 * 1024
"""Bytes of an unwanted body that are read and discarded, so that the client receives the response."""
LINGER = 1.0
"""Seconds that this takes at most, and that a refused connection stays open for the same purpose."""
MAX_LINGERING = 32
"""Refused connections that stay open; more are closed at once."""
RETRY = {"Retry-After": "5"}

_log = SampledLog()


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Connections of one process, in total and per address (0 = no limit), and the time-outs of each in seconds."""

    total: int
    per_address: int
    patience: float
    idle: float

    @classmethod
    def of(cls, settings: Settings) -> "ConnectionLimits":
        """Return the limits by the settings, and by the number of files that this process may open."""
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        total = settings.max_connections
        if files != resource.RLIM_INFINITY:
            total = min(total, max(files - settings.database_pool - RESERVED_FILES, files // 4))
        per_address = settings.connections_per_address
        return cls(
            total,
            max(1, total // 2) if per_address is None else per_address,
            settings.client_timeout,
            settings.keepalive_timeout,
        )


class Runner(web.AppRunner):
    """Runs an application with limits on its connections."""

    def __init__(self, app: web.Application, limits: ConnectionLimits, **options: Any) -> None:
        super().__init__(
            app,
            access_log=None,
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
            keepalive_timeout=limits.idle,
            lingering_time=0,  # Connection drains what it must by itself
            read_bufsize=READ_BUFFER,
            **options,
        )
        self._limits = limits

    async def _make_server(self) -> web.Server:
        return LimitedServer(await super()._make_server(), self.app[ERROR_RESPONSES], self._limits)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection is refused. `reason` is its label in logs and metrics."""

    reason: str
    status: int
    message: str


FULL = Refusal("total", HTTPStatus.SERVICE_UNAVAILABLE, "The server has too many connections; try again shortly.")
CROWDED = Refusal("address", HTTPStatus.TOO_MANY_REQUESTS, "This address has too many connections; close some.")


class LimitedServer(web.Server):
    """aiohttp's server with limited connections, whose every answer is in the form of its surface."""

    def __init__(self, made: web.Server, errors: ErrorResponses, limits: ConnectionLimits) -> None:
        super().__init__(
            self._answer,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            **made._kwargs,  # noqa: SLF001 - aiohttp offers no other way to a protocol of one's own
        )
        self.errors = errors
        self.limits = limits
        self.lingering = 0
        self._handle = made.request_handler
        self._open = 0
        self._of_address: Counter[str] = Counter()

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)

    def enter(self, address: str) -> Refusal | None:
        """Count a connection until it leaves, or return why it is refused."""
        if self._open >= self.limits.total:
            return FULL
        if address and 0 < self.limits.per_address <= self._of_address[address]:
            return CROWDED
        self._open += 1
        self._of_address[address] += 1
        return None

    def leave(self, address: str) -> None:
        """Stop counting a connection."""
        self._open -= 1
        self._of_address[address] -= 1
        if not self._of_address[address]:
            del self._of_address[address]

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request; render also what is raised around the application's middleware, such as 417."""
        try:
            return await self._handle(request)
        except web.HTTPException as error:
            problem = problem_of(error, request.path, request_id_of(request))
            if problem is None:
                raise
            return self.errors.to(request, problem)


class Connection(web.RequestHandler):
    """One connection. It ends when its client keeps the server waiting for too long."""

    __slots__ = ("_address", "_head", "_server", "_watch", "_wire")

    def __init__(self, server: LimitedServer, **options: Any) -> None:
        super().__init__(server, **options)
        self._server = server
        self._address = ""
        self._head = 0
        self._watch: asyncio.TimerHandle | None = None
        self._wire: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve, or hand over to `Refused`."""
        wire = cast("asyncio.Transport", transport)
        address = address_of(wire)
        refusal = self._server.enter(address)
        if refusal is not None:
            refused = Refused(self._server, refusal, address)
            wire.set_protocol(refused)
            refused.connection_made(wire)
            return
        self._address, self._wire = address, wire
        super().connection_made(wire)
        self._watch = self._loop.call_later(self._server.limits.patience, self._require_request)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop counting the connection."""
        self._wire = None
        self._unwatch()
        self._server.leave(self._address)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived. Whatever arrives while a request is awaited belongs to its head."""
        super().data_received(data)
        if self._waiter is None or self._waiter.done():
            self._head = 0
            return
        self._head += len(data)
        if self._head > MAX_HEAD and self._wire is not None:
            self.close()  # ignores what still arrives
            message = f"The headers have more than {MAX_HEAD} bytes"
            response = self._server.errors.to_nobody(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message)
            metrics.REQUESTS.labels("unrouted", str(response.status)).inc()
            _answer_and_end(self._wire, response)

    def pause_writing(self) -> None:
        """The client does not take what was written; from now on it must take some."""
        super().pause_writing()
        self._watch_progress("answer")

    def resume_writing(self) -> None:
        """The client took what was written."""
        super().resume_writing()
        if self._wire is not None and not self._wire.is_closing():
            self._unwatch()

    async def start(self) -> None:
        """Serve all requests; afterwards the client must take what is still unsent, for the connection to close."""
        try:
            await super().start()
        finally:
            self._watch_progress("end")

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response; then read a little of a body that nobody wanted, so that the client receives it."""
        finished = await super().finish_response(request, resp, start_time)
        if not request.content.is_eof() and not self._force_close:
            await _drain(request.content)
        return finished

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's, which shows what was sent
    ) -> web.StreamResponse:
        """Return the answer to what is no request, and to a failure around the application's middleware."""
        if status == HTTPStatus.BAD_REQUEST:
            problem = _unreadable(exc)
            reason = type(exc).__name__
            _log.line("request unreadable", reason, request_id=problem.request_id, address=self._address, reason=reason)
        else:
            problem = opaque_problem("/", new_request_id())
            _log.failure("request failed", type(exc).__name__, request_id=problem.request_id, exc_info=exc)
        metrics.REQUESTS.labels("unrouted", str(problem.status)).inc()
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun")
        response = self._server.errors.to(request, problem)
        response.force_close()
        return response

    def log_exception(self, *args: Any, **_kw: Any) -> None:
        """Log a failure of aiohttp's protocol."""
        what = str(args[0])
        _log.failure("connection failed", what, address=self._address, what=what, exc_info=True)

    def _require_request(self) -> None:
        if self._request_count == 0:
            self._end("request")

    def _watch_progress(self, reason: str) -> None:
        self._unwatch()
        if self._wire is not None:
            unsent = self._wire.get_write_buffer_size()
            patience = self._server.limits.patience
            self._watch = self._loop.call_later(patience, self._require_progress, reason, unsent)

    def _require_progress(self, reason: str, unsent: int) -> None:
        if self._wire is None:
            return
        taken = unsent - self._wire.get_write_buffer_size()
        if taken < MIN_RATE * self._server.limits.patience:
            self._end(reason)
        else:
            self._watch_progress(reason)

    def _unwatch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _end(self, reason: str) -> None:
        metrics.TIMED_OUT.labels(reason).inc()
        _log.line("connection timed out", reason, waiting_for=reason, address=self._address)
        if self._wire is not None:
            self._wire.abort()


class Refused(asyncio.Protocol):
    """A connection beyond a limit: it gets an answer, whatever it asks, and is closed."""

    def __init__(self, server: LimitedServer, refusal: Refusal, address: str) -> None:
        self._server = server
        self._lingers = server.lingering < MAX_LINGERING
        self._answer = server.errors.to_nobody(refusal.status, refusal.message, RETRY)
        metrics.REFUSED.labels(refusal.reason).inc()
        _log.line("connection refused", refusal.reason, reason=refusal.reason, address=address)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer and close, at once if many others linger already."""
        wire = cast("asyncio.Transport", transport)
        self._server.lingering += self._lingers
        if self._lingers:
            _answer_and_end(wire, self._answer)
        else:
            wire.write(_on_the_wire(self._answer))
            wire.close()

    def connection_lost(self, exc: BaseException | None) -> None:  # noqa: ARG002 - whatever the reason
        """Let another one linger."""
        self._server.lingering -= self._lingers


def address_of(transport: asyncio.BaseTransport) -> str:
    """Return the client's address: of IPv6 its /64 network, which one client has whole; empty for a Unix socket."""
    peer = transport.get_extra_info("peername")
    return network_of(str(peer[0])) if isinstance(peer, tuple) else ""


async def _drain(content: StreamReader) -> None:
    """Read and discard a little."""
    left = MAX_DRAIN
    with suppress(Exception):  # whatever ends it, the connection is closed next
        async with asyncio.timeout(LINGER):
            while left > 0 and not content.is_eof():
                left -= len(await content.readany())


def _unreadable(error: BaseException | None) -> Problem:
    """Return the problem of bytes that are no request; they are not shown, as they may hold anything."""
    if isinstance(error, LineTooLong):
        message = f"The request line or a header is longer than {MAX_HEADER} bytes"
        return Problem(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message, "/", new_request_id())
    return Problem(HTTPStatus.BAD_REQUEST, "This is not a valid HTTP/1.1 request", "/", new_request_id())


def _answer_and_end(wire: asyncio.Transport, response: web.Response) -> None:
    """Answer, and close a moment later: at once, a client that still sends would miss the answer."""
    wire.write(_on_the_wire(response))
    wire.write_eof()
    asyncio.get_running_loop().call_later(LINGER, wire.abort)


def _on_the_wire(response: web.Response) -> bytes:
    body = cast("bytes", response.body)
    headers = {**response.headers, "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
