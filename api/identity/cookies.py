"""The cookie that holds a session in a browser (RFC 6265, with SameSite and the prefix `__Host-` of RFC 6265bis)."""

from http.cookies import SimpleCookie

from aiohttp import hdrs, web

from api.http.calls import SERVICES
from storage.settings import Settings

_NAME = "trailgate_session"


def presented_session(request: web.Request) -> str | None:
    """Return the text of the session in the request's cookie; None without one."""
    if hdrs.COOKIE not in request.headers:
        return None
    return request.cookies.get(_name(request.app[SERVICES].settings))


def session_cookie(settings: Settings, text: str) -> dict[str, str]:
    """Return the header that sets the cookie: not readable by scripts, and sent with no other site's writes."""
    return _header(settings, text, max_age=int(settings.session_lifetime.total_seconds()))


def no_session_cookie(settings: Settings) -> dict[str, str]:
    """Return the header that removes the cookie."""
    return _header(settings, "", max_age=0)


def _header(settings: Settings, value: str, max_age: int) -> dict[str, str]:
    name = _name(settings)
    cookie = SimpleCookie({name: value})[name]
    cookie.update({"path": "/", "max-age": str(max_age), "samesite": "Lax"})
    cookie["httponly"] = True
    cookie["secure"] = settings.has_tls
    return {hdrs.SET_COOKIE: cookie.OutputString()}


def _name(settings: Settings) -> str:
    """Return the cookie's name. Behind TLS, its prefix keeps a neighbouring host from setting a cookie for this one."""
    return f"__Host-{_NAME}" if settings.has_tls else _NAME
