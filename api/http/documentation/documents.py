"""Serve a surface's OpenAPI document and Swagger UI from installed files, without loading anything from elsewhere."""

import asyncio
import json
from collections.abc import Iterable, Mapping
from html import escape
from importlib.util import find_spec
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Handler

from api.http.binding import Endpoint
from api.http.calls import Surface
from api.http.documentation.openapi import document

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; script-src 'self'; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui-standalone-preset.js": "text/javascript",
}
_ASSET_HEADERS = {"Cache-Control": "public, max-age=86400", "X-Content-Type-Options": "nosniff"}

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{assets}/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{assets}/swagger-ui-bundle.js"></script>
<script src="{assets}/swagger-ui-standalone-preset.js"></script>
<script src="{assets}/initializer.js"></script>
</body>
</html>
"""

# validatorUrl null: otherwise the page would send the document to a public validator.
_INITIALIZER = """window.ui = SwaggerUIBundle({{
  url: {url},
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  layout: "StandaloneLayout",
}});
"""


def add_documents(
    app: web.Application,
    surface: Surface,
    endpoints: Iterable[Endpoint],
    paths: tuple[str, ...],
    page: str,
) -> None:
    """Serve the document at each of `paths` and Swagger UI at `page`, all below the surface's mount.

    The document is built in a thread on its first request (one second for 600 operations) and cached.
    These routes need no credential: client generators and browsers read the document before they have one.
    """
    served = _Document(surface, tuple(endpoints))
    for path in paths:
        app.router.add_get(surface.mount + path, served.answer)
    assets = surface.mount + page.removesuffix(".html")
    html = _PAGE.format(title=escape(surface.title), assets=escape(assets))
    script = _INITIALIZER.format(url=json.dumps(surface.mount + paths[0]))
    app.router.add_get(
        surface.mount + page, fixed_text(html, "text/html", {"Content-Security-Policy": CONTENT_SECURITY_POLICY})
    )
    app.router.add_get(f"{assets}/initializer.js", fixed_text(script, "text/javascript", {}))
    folder = swagger_folder()
    for name, media_type in ASSETS.items():
        app.router.add_get(f"{assets}/{name}", _file(folder / name, media_type))


def swagger_folder() -> Path:
    """Return the folder of the static files of swagger-ui-py, without importing the package."""
    spec = find_spec("swagger_ui")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the distribution swagger-ui-py is not installed")
    return Path(spec.submodule_search_locations[0], "static")


class _Document:
    def __init__(self, surface: Surface, endpoints: tuple[Endpoint, ...]) -> None:
        self._surface = surface
        self._endpoints = endpoints
        self._building = asyncio.Lock()
        self._body: bytes | None = None

    async def answer(self, _request: web.Request) -> web.Response:
        async with self._building:
            if self._body is None:
                self._body = await asyncio.to_thread(self._build)
        return web.Response(body=self._body, content_type="application/json", headers={"Cache-Control": "no-cache"})

    def _build(self) -> bytes:
        return json.dumps(document(self._surface, self._endpoints), indent=1).encode()


def fixed_text(text: str, media_type: str, headers: Mapping[str, str]) -> Handler:
    """Return a handler that always answers the same text."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(
            text=text, content_type=media_type, headers={**headers, "X-Content-Type-Options": "nosniff"}
        )

    return answer


def _file(path: Path, media_type: str) -> Handler:
    async def answer(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(path, headers={**_ASSET_HEADERS, "Content-Type": media_type})

    return answer
