"""HTTP requests that we make on behalf of users: one session, guarded where its sockets are made (engineering.md 2.14).

The guard sees every address that is finally dialled, so neither a literal address, nor a name that changes its mind
between two look-ups, nor a redirect gets past it, whatever library uses the session.
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

from domain.addresses import Network, refusal
from domain.errors import Rejected
from storage.settings import Settings

MAX_ANSWER = 2**20
"""Bytes of an answer's body that can be read; the rest is never taken from the socket."""

CONNECT_TIMEOUT = 5.0
"""Seconds until a connection stands, TLS and all."""

_KEEP_ALIVE = 4.0
"""Seconds that an idle connection is kept: less than the 5 after which many servers close theirs."""

_HEADERS = {"User-Agent": "Trailgate", "Accept-Encoding": "identity"}
"""Nothing is ever decompressed, so no answer can grow on its way in."""


_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@asynccontextmanager
async def open_outbound(
    settings: Settings, resolver: AbstractResolver | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    """The session for all requests to addresses that users name; `resolver` replaces the system's look-up of names.

    A request to a refused address raises domain.errors.Rejected, which names host and range and is not worth a retry.
    A redirect is an answer like any other. The rest fails with aiohttp's own errors and TimeoutError.
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
    """One request on its way to a connection."""

    tls: bool
    refused: str | None = None
    dialled: bool = False


_dialling: ContextVar[_Dialling] = ContextVar("dialling")
"""How the maker of sockets, which is told an address only, learns whether TLS will be spoken there."""


class _AddressRefused(OSError):  # noqa: N818 - an outcome
    """An OSError, so that the other addresses of the name are tried."""


class _GuardedConnector(aiohttp.TCPConnector):
    """Dials only what domain.addresses allows. Without a limit of its own: a slow host must not make others wait."""

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
        """A connection for the request. Raises Rejected if no address of its host may be dialled."""
        if req.proxy is not None:
            raise Rejected("Outgoing requests take no proxy.")
        attempt = _Dialling(tls=req.url.scheme == "https")
        token = _dialling.set(attempt)
        try:
            return await super().connect(req, traces, timeout)
        except aiohttp.ClientConnectorError:
            if attempt.refused is None or attempt.dialled:
                raise
            raise Rejected(f"The address {req.url.host} may not be reached: {attempt.refused}.") from None
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
    """An answer that leads nowhere, is never large, and can always be read as text."""

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        """The headers, but for the target of a redirect: without it no library can follow."""
        if self.status not in _REDIRECTS:
            return self._headers
        kept = CIMultiDict(self._headers)
        for name in (hdrs.LOCATION, hdrs.URI):
            kept.popall(name, None)
        return CIMultiDictProxy(kept)

    async def read(self) -> bytes:
        """The body's first MAX_ANSWER bytes."""
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
        """UTF-8 always: the sender does not choose which of Python's codecs we run."""
        return "utf-8"

    async def text(self, encoding: str | None = None, errors: str = "replace") -> str:  # noqa: ARG002
        """The body as UTF-8, with a mark for each byte that is none."""
        return (await self.read()).decode(self.get_encoding(), errors)
