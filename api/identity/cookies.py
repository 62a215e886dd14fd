"""Cookies of a browser: its session, and the sign-in that it began (RFC 6265bis, with SameSite and `__Host-`)."""

from hmac import compare_digest
from http.cookies import SimpleCookie

from aiohttp import hdrs, web

from api.http.calls import SERVICES
from storage.identity.pending_sign_ins import LIFETIME
from storage.settings import Settings

_SESSION, _SIGN_IN = "trailgate_session", "trailgate_sign_in"


def presented_session(request: web.Request) -> str | None:
    """Return the text of the session in the request's cookie; None without one."""
    if hdrs.COOKIE not in request.headers:
        return None
    return request.cookies.get(_name(request.app[SERVICES].settings, _SESSION))


def session_cookie(settings: Settings, text: str) -> dict[str, str]:
    """Return the header that sets the cookie: not readable by scripts, and sent with no other site's writes."""
    return _header(settings, _SESSION, text, int(settings.session_lifetime.total_seconds()))


def no_session_cookie(settings: Settings) -> dict[str, str]:
    """Return the header that removes the cookie."""
    return _header(settings, _SESSION, "", 0)


def sign_in_cookie(settings: Settings, state: str) -> dict[str, str]:
    """Return the header that lets the browser prove that it began the sign-in of this state."""
    return _header(settings, _SIGN_IN, state, LIFETIME)


def began_sign_in(request: web.Request, state: str) -> bool:
    """Whether this browser began the sign-in of this state, so that nobody makes it sign in as somebody else."""
    held = request.cookies.get(_name(request.app[SERVICES].settings, _SIGN_IN), "")
    return compare_digest(held.encode("utf-8", "surrogateescape"), state.encode("utf-8", "surrogateescape"))


def _header(settings: Settings, name: str, value: str, max_age: int) -> dict[str, str]:
    name = _name(settings, name)
    cookie = SimpleCookie({name: value})[name]
    cookie.update({"path": "/", "max-age": str(max_age), "samesite": "Lax"})
    cookie["httponly"] = True
    cookie["secure"] = settings.has_tls
    return {hdrs.SET_COOKIE: cookie.OutputString()}


def _name(settings: Settings, name: str) -> str:
    """Return the cookie's name. Behind TLS, its prefix keeps a neighbouring host from setting a cookie for this one."""
    return f"__Host-{name}" if settings.has_tls else name
