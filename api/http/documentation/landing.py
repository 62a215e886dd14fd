"""The page at the address itself: what this server is, and links to where a person may want to go."""

from collections.abc import Mapping
from html import escape

from aiohttp import web
from aiohttp.typedefs import Handler

from api.http.calls import Surface
from api.http.documentation.documents import fixed_text

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "public, max-age=300",
}

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Trailgate</title>
<link rel="icon" type="image/svg+xml" href="/favicon.ico">
<style>
body {{ font: 1.1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 12vh auto; padding: 0 1.5rem; }}
h1 {{ display: flex; gap: .7rem; align-items: center; }}
li {{ margin: .4rem 0; }}
</style>
</head>
<body>
<h1><img src="/favicon.ico" alt="" width="40" height="40">Trailgate</h1>
<p>{description}</p>
<ul>
{links}
</ul>
</body>
</html>
"""

_ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<rect width="32" height="32" rx="7" fill="#14532d"/>
<path d="M8 24V12m16 12V12M6 12h20M11 18l4 4 7-9" fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round"/>
</svg>
"""


def add_landing_page(app: web.Application, surface: Surface, links: Mapping[str, str], documents: str) -> None:
    """Serve a page with `links` (text by path) at `/`, an icon, and a redirect from `/docs` to the path `documents`."""
    items = "\n".join(f'<li><a href="{escape(path)}">{escape(text)}</a></li>' for path, text in links.items())
    page = _PAGE.format(description=escape(surface.description.partition("\n")[0]), links=items)
    app.router.add_get("/", fixed_text(page, "text/html", _HEADERS))
    app.router.add_get("/favicon.ico", fixed_text(_ICON, "image/svg+xml", {"Cache-Control": "public, max-age=86400"}))
    app.router.add_get("/docs", _redirect(documents))


def _redirect(path: str) -> Handler:
    async def answer(_request: web.Request) -> web.Response:
        raise web.HTTPFound(path)

    return answer
