"""Headers that tell browsers what a response may do, and which hosts this server answers for.

A handler that sets one of these headers itself, such as a page or a download, keeps its own.
"""

from collections.abc import Collection, Mapping

from aiohttp import hdrs, web
from multidict import CIMultiDict

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

_HSTS = {"Strict-Transport-Security": "max-age=31536000"}
"""One year (RFC 6797): only where clients reach this server by https."""


def security_headers(*, tls: bool) -> Mapping[str, str]:
    """Return the headers of every response that has no others of these names."""
    return {**_DEFAULTS, **(_HSTS if tls else {})}


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

    def check(self, request: web.Request) -> None:
        """Raise Forbidden for a request to another host."""
        if self._names is None or request.path in self._probes:
            return
        named = authority_of(request.headers.get(hdrs.HOST, ""))
        if named is None or not (named in self._names or is_loopback(named[0])):
            message = "Use 127.0.0.1, localhost, or a host in TRAILGATE_PUBLIC_URL or TRAILGATE_ALLOWED_HOSTS."
            raise Forbidden(message, denial=Denial.FOREIGN_HOST)
