"""HTTP requests to URLs that users enter, through one session that is protected against SSRF.

The check runs when a socket is created and sees the address that is actually dialled. It therefore covers literal
addresses, names that resolve differently the second time (DNS rebinding) and redirects, whatever library uses the
session (ADR 0020).
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import aiohttp
from aiohttp import hdrs
from aiohttp.abc import AbstractResolver
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import AddrInfoType, Connection
from aiohttp.tracing import Trace
from multidict import CIMultiDict, CIMultiDictProxy

from domain.addresses import REMEDY, Network, refusal
from domain.errors import Rejected
from storage.settings import Settings

MAX_ANSWER = 2**20
"""Bytes of a response body that are read; the rest is left in the socket."""

CONNECT_TIMEOUT = 5.0
"""Seconds to establish a connection, including TLS."""

_KEEP_ALIVE = 4.0
"""Seconds that an idle connection is kept: less than the 5 after which many servers close theirs."""

_HEADERS = {"User-Agent": "Trailgate", "Accept-Encoding": "identity"}
"""No compression: a small response must not expand to a large body."""


_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@asynccontextmanager
async def open_outbound(
    settings: Settings, resolver: AbstractResolver | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    """Open the session for all requests to addresses that users enter; `resolver` replaces the system's name look-up.

    A request to a forbidden address raises domain.errors.Rejected with the host and the reason; a retry is pointless.
    Redirects are returned, not followed. All other failures raise aiohttp's own errors or TimeoutError.
    """
    total = settings.outbound_timeout
    connect = min(CONNECT_TIMEOUT, total)
    async with aiohttp.ClientSession(
        connector=_GuardedConnector(settings.outbound_networks, resolver),
        timeout=aiohttp.ClientTimeout(total=total, connect=connect, sock_connect=connect),
        headers=_HEADERS,
        response_class=_Answer,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
    ) as session:
        yield session


@dataclass(slots=True)
class _Dialling:
    """The state of one request while it gets its connection."""

    tls: bool
    refused: str | None = None
    dialled: bool = False


_dialling: ContextVar[_Dialling] = ContextVar("dialling")
"""Tells the socket factory, which gets only an address, whether the connection will use TLS."""


class _AddressRefused(OSError):  # noqa: N818 - an outcome
    """The address is forbidden. It is an OSError so that aiohttp tries the other addresses of the name."""


class _GuardedConnector(aiohttp.TCPConnector):
    """Connects only to addresses that domain.addresses allows; unlimited, because slow hosts must not delay others."""

    allowed_protocol_schema_set = frozenset({"http", "https"})

    def __init__(self, allowed: Sequence[Network], resolver: AbstractResolver | None) -> None:
        super().__init__(socket_factory=self._socket, resolver=resolver, limit=0, keepalive_timeout=_KEEP_ALIVE)
        self._allowed = allowed

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's signature
    ) -> Connection:
        """Connect for a request. Raises Rejected if every address of its host is forbidden."""
        if req.proxy is not None:
            raise Rejected("Outgoing requests cannot use a proxy.")
        attempt = _Dialling(tls=req.url.scheme == "https")
        token = _dialling.set(attempt)
        try:
            return await super().connect(req, traces, timeout)
        except aiohttp.ClientConnectorError:
            if attempt.refused is None or attempt.dialled:
                raise
            message = f"The address {req.url.host} may not be reached: {attempt.refused}. {REMEDY}."
            raise Rejected(message) from None
        finally:
            _dialling.reset(token)

    def _socket(self, address: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, (host, port, *_) = address
        attempt = _dialling.get()
        reason = refusal(host, port, tls=attempt.tls, allowed=self._allowed)
        if reason is not None:
            attempt.refused = reason
            raise _AddressRefused(reason)
        attempt.dialled = True
        return socket.socket(family, kind, protocol)


class _Answer(aiohttp.ClientResponse):
    """A response without a redirect target, of limited size, that can always be decoded as text."""

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The headers without the target of a redirect, so that no library can follow it."""
        if self.status not in _REDIRECTS:
            return self._headers
        kept = CIMultiDict(self._headers)
        for name in (hdrs.LOCATION, hdrs.URI):
            kept.popall(name, None)
        return CIMultiDictProxy(kept)

    async def read(self) -> bytes:
        """Return the first MAX_ANSWER bytes of the body."""
        if self._body is None:
            try:
                self._body = await self.content.readexactly(MAX_ANSWER)
            except asyncio.IncompleteReadError as end:
                self._body = end.partial
            finally:
                if not self.content.at_eof():
                    self.close()
        return self._body

    def get_encoding(self) -> str:
        """Return UTF-8 always: the sender must not choose which of Python's codecs runs."""
        return "utf-8"

    async def text(self, encoding: str | None = None, errors: str = "replace") -> str:  # noqa: ARG002
        """Return the body as UTF-8, with U+FFFD for invalid bytes."""
        return (await self.read()).decode(self.get_encoding(), errors)
