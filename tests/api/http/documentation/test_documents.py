import re
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

from api.http.calls import SERVICES, STAGING
from api.http.documentation.documents import ASSETS, add_documents
from api.http.middleware import install
from storage.services import Services
from tests.api.http.sample import CHANGES, FACTS
from tests.paths import ROOT


@pytest.fixture
async def client(aiohttp_client: AiohttpClient, tmp_path: Path) -> TestClient[Any, Any]:
    app = web.Application()
    app[SERVICES], app[STAGING] = cast("Services", None), tmp_path
    facts, changes = install(app, (FACTS, CHANGES))
    add_documents(app, FACTS, facts, ("/api-docs", "/v3/api-docs", "/openapi.json"), page="/swagger-ui.html")
    add_documents(app, CHANGES, changes, ("/openapi.json",), page="/docs")
    return await aiohttp_client(app)


async def test_the_document_is_open_and_the_same_at_every_path(client: TestClient[Any, Any]) -> None:
    documents = [await (await client.get(path)).json() for path in ("/api-docs", "/v3/api-docs", "/openapi.json")]
    assert documents[0]["info"]["title"] == "Facts"
    assert documents[0] == documents[1] == documents[2]
    response = await client.get("/changes/openapi.json")
    assert response.content_type == "application/json"
    assert (await response.json())["info"]["title"] == "Changes"


@pytest.mark.parametrize(
    ("page", "document"), [("/swagger-ui.html", "/api-docs"), ("/changes/docs", "/changes/openapi.json")]
)
async def test_the_page_loads_local_files_only(client: TestClient[Any, Any], page: str, document: str) -> None:
    response = await client.get(page)
    html = await response.text()
    assert response.content_type == "text/html"
    linked = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert len(linked) == 5
    assert [link for link in linked if "://" in link or link.startswith("//")] == []
    for link in linked:
        if not link.startswith("data:"):
            asset = await client.get(link)
            assert asset.status == 200, link
            assert asset.content_type == ("text/css" if link.endswith(".css") else "text/javascript")
            assert asset.headers["X-Content-Type-Options"] == "nosniff"
    (script,) = [link for link in linked if link.endswith("initializer.js")]
    initializer = await (await client.get(script)).text()
    assert f'url: "{document}"' in initializer
    assert "validatorUrl: null" in initializer
    assert "http" not in initializer


async def test_the_page_forbids_everything_foreign_and_inline(client: TestClient[Any, Any]) -> None:
    response = await client.get("/swagger-ui.html")
    policy = dict(part.strip().split(" ", 1) for part in response.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["script-src"] == "'self'"
    assert policy["style-src"] == "'self' 'unsafe-inline'"
    assert policy["img-src"] == "'self' data:"
    assert re.findall(r"<script(?![^>]*src=)", await response.text()) == []


@pytest.mark.parametrize("name", ["index.css", "swagger-editor.js", "../__init__.py", "%2e%2e/__init__.py", "LICENSE"])
async def test_nothing_else_of_the_package_is_served(client: TestClient[Any, Any], name: str) -> None:
    assert (await client.get(f"/swagger-ui/{name}")).status == 404
    assert name not in ASSETS


def test_the_package_is_never_imported() -> None:
    code = (
        "import sys, api.http.documentation.documents as d; d.swagger_folder(); sys.exit('swagger_ui' in sys.modules)"
    )
    root = ROOT
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
