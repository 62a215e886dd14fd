"""Refuse requests that a web page of somebody else makes a browser send: cross-site requests and DNS rebinding.

A browser says where a request comes from: `Sec-Fetch-Site` (W3C Fetch Metadata) and `Origin` (RFC 6454, section 7).
Other clients send neither. A page cannot set them, nor the `Host` of its own name.
"""

from contextlib import suppress
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from api.http.calls import SERVICES
from api.http.idempotency import UNSAFE
from domain.addresses import is_loopback
from domain.errors import Denial, Forbidden

_OWN_SITES = frozenset({"same-origin", "none"})
_Authority = tuple[str, int | None]


def refuse_foreign_pages(request: web.Request) -> None:
    """Raise Forbidden for a request to change something that a page of another origin sends.

    This server is known by the Host of the request and, behind a proxy that replaces that, by TRAILGATE_PUBLIC_URL.
    """
    if request.method in UNSAFE and not _is_own_page(request):
        message = "A page of another origin may not send this request. Behind a proxy, set TRAILGATE_PUBLIC_URL."
        raise Forbidden(message, denial=Denial.FOREIGN_PAGE)


def require_own_page(request: web.Request) -> None:
    """Raise Forbidden for a change with a cookie unless the request says that a page of this server sends it.

    Browsers add cookies by themselves, so that the absence of another origin is not enough here.
    """
    says_where = "Sec-Fetch-Site" in request.headers or hdrs.ORIGIN in request.headers
    if request.method in UNSAFE and not (says_where and _is_own_page(request)):
        message = "With a session cookie, send Origin; other clients send the session as Authorization: Bearer."
        raise Forbidden(message, denial=Denial.FOREIGN_PAGE)


def refuse_foreign_hosts(request: web.Request) -> None:
    """Raise Forbidden unless the request names this machine or TRAILGATE_PUBLIC_URL as its host.

    For installations without authentication: a page can make its own host name resolve to a loopback address, and would
    then be of the same origin.
    """
    own = _own_authority(request)
    if own is None or not (is_loopback(own[0]) or own == _public_authority(request)):
        message = "With TRAILGATE_AUTH=off, use 127.0.0.1, localhost or the address in TRAILGATE_PUBLIC_URL."
        raise Forbidden(message, denial=Denial.FOREIGN_HOST)


def _is_own_page(request: web.Request) -> bool:
    """Return whether a request comes from a page of this server, or from no page at all."""
    if (site := request.headers.get("Sec-Fetch-Site")) is not None:
        return site.lower() in _OWN_SITES
    if (origin := request.headers.get(hdrs.ORIGIN)) is None:  # what older browsers send, and those without TLS
        return True
    authority = _authority(origin.partition("://")[2])
    return authority is not None and authority in {_own_authority(request), _public_authority(request)}


def _own_authority(request: web.Request) -> _Authority | None:
    return _authority(request.headers.get(hdrs.HOST, ""))


def _public_authority(request: web.Request) -> _Authority | None:
    url = request.app[SERVICES].settings.public_url
    return _authority(urlsplit(url).netloc) if url else None


def _authority(text: str) -> _Authority | None:
    """Return the host, in lower case, and the port of `host:port`; None if there is no host."""
    with suppress(ValueError):
        parts = urlsplit(f"//{text}")
        if parts.hostname:
            return parts.hostname, parts.port
    return None
