"""Headers that tell browsers what a response may do, and which hosts this server answers for.

A handler that sets one of these headers itself, such as a page or a download, keeps its own.
"""

from collections.abc import Collection, Mapping
from functools import lru_cache

from aiohttp import hdrs, web
from multidict import CIMultiDict, istr

from domain.addresses import is_loopback
from domain.authorities import Authority, authority_of
from domain.errors import Denial, Forbidden

_DEFAULTS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "private, no-cache",
}
"""For JSON, which a browser has no reason to run, frame or share. A client may keep it, and asks again by its ETag."""

_REMEMBERED = 100
"""Host headers whose authority is not taken apart again."""

_HSTS = {"Strict-Transport-Security": "max-age=31536000"}
"""One year (RFC 6797): only where clients reach this server by https."""


def security_headers(*, tls: bool) -> Mapping[str, str]:
    """Return the headers of every response that has no others of these names."""
    headers = {**_DEFAULTS, **(_HSTS if tls else {})}
    return {istr(name): value for name, value in headers.items()}  # which are looked up in every response


def set_absent(headers: CIMultiDict[str], defaults: Mapping[str, str]) -> None:
    """Set the headers that are not set."""
    for name, value in defaults.items():
        headers.setdefault(name, value)


class Hosts:
    """The hosts that this server answers for, beside loopback addresses; None = all. `probes` may use any host.

    A page can make its own host name resolve to this server's address, and would then be of the same origin (DNS
    rebinding): a request that names another host was not meant for this server.
    """

    def __init__(self, names: Collection[Authority] | None, probes: Collection[str] = ()) -> None:
        self._names = None if names is None else frozenset(names)
        self._probes = frozenset(probes)
        self._answers_for = lru_cache(maxsize=_REMEMBERED)(self._is_ours)

    def check(self, request: web.Request) -> None:
        """Raise Forbidden for a request to another host."""
        if self._names is None or request.path in self._probes:
            return
        if not self._answers_for(request.headers.get(hdrs.HOST, "")):
            message = "Use 127.0.0.1, localhost, or a host in TRAILGATE_PUBLIC_URL or TRAILGATE_ALLOWED_HOSTS."
            raise Forbidden(message, denial=Denial.FOREIGN_HOST)

    def _is_ours(self, text: str) -> bool:
        """Whether a Host header names a host that this server answers for; to find out costs several microseconds."""
        named = authority_of(text)
        return named is not None and (named in (self._names or ()) or is_loopback(named[0]))
