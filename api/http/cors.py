"""Let pages of listed origins use the API from a browser (Cross-Origin Resource Sharing, in the Fetch Standard)."""

import re
from collections.abc import Collection

from aiohttp import hdrs, web

_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_EXPOSED = (
    "ETag, Idempotency-Replayed, Link, Location, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, "
    "X-Factstore-Region, X-Request-Id, X-Total-Count"
)
_MAX_AGE = "600"
_NAMES = re.compile(r"[A-Za-z0-9,_ -]{1,1000}")


class Cors:
    """The origins whose pages may use the API. They are spelled as browsers do, such as `https://app.example.com`."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = frozenset(origins)

    def permits(self, request: web.Request) -> bool:
        """Whether a page of a listed origin sends this request."""
        return bool(self._origins) and request.headers.get(hdrs.ORIGIN) in self._origins

    def preflight(self, request: web.Request) -> web.Response | None:
        """Answer the question of a browser whether a page may send a request; None for any other request."""
        if request.method != hdrs.METH_OPTIONS or not self.permits(request):
            return None
        wanted = request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, "")
        headers = {hdrs.ACCESS_CONTROL_ALLOW_METHODS: _METHODS, hdrs.ACCESS_CONTROL_MAX_AGE: _MAX_AGE}
        if _NAMES.fullmatch(wanted):
            headers[hdrs.ACCESS_CONTROL_ALLOW_HEADERS] = wanted
        return web.Response(status=204, headers=headers)

    def mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Let the page read the response, with the session's cookie if the browser sent it."""
        if not self._origins:
            return
        response.headers.add(hdrs.VARY, hdrs.ORIGIN)
        if self.permits(request):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = request.headers[hdrs.ORIGIN]
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = _EXPOSED


CORS: web.AppKey[Cors] = web.AppKey("cors", Cors)
