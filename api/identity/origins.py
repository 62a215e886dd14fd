"""Refuse requests that a web page of somebody else makes a browser send.

A browser says where a request comes from: `Sec-Fetch-Site` (W3C Fetch Metadata) and `Origin` (RFC 6454, section 7).
Other clients send neither. A page cannot set them, nor the `Host` of its own name.
"""

from aiohttp import hdrs, web

from api.http.calls import SERVICES
from api.http.cors import CORS
from api.http.idempotency import UNSAFE
from domain.addresses import is_loopback
from domain.authorities import Authority, authority_of, authority_of_url
from domain.errors import Denial, Forbidden

_OWN_SITES = frozenset({"same-origin", "none"})


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


def _is_own_page(request: web.Request) -> bool:
    """Return whether a request comes from a page of this server or of a listed origin, or from no page at all."""
    if request.app[CORS].permits(request):
        return True
    if (site := request.headers.get("Sec-Fetch-Site")) is not None:
        return site.lower() in _OWN_SITES
    if (origin := request.headers.get(hdrs.ORIGIN)) is None:  # what older browsers send, and those without TLS
        return True
    scheme, _, named = origin.partition("://")
    authority = authority_of(named)
    if authority is None or authority not in {_own_authority(request), _public_authority(request)}:
        return False
    # Behind https, whoever is between a browser and this server can make pages of the http origin.
    is_secure = scheme == "https" or is_loopback(authority[0])
    return is_secure or not request.app[SERVICES].settings.has_tls


def _own_authority(request: web.Request) -> Authority | None:
    return authority_of(request.headers.get(hdrs.HOST, ""))


def _public_authority(request: web.Request) -> Authority | None:
    url = request.app[SERVICES].settings.public_url
    return authority_of_url(url) if url else None
