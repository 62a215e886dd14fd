"""What a person finds who opens the address in a browser."""

import re
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from defusedxml.ElementTree import fromstring

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_address_leads_on(http: TestClient[Any, Any]) -> None:
    async with http.get("/") as page:
        assert (page.status, page.content_type) == (200, "text/html")
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        links = re.findall(r'(?:href|src)="([^"]+)"', await page.text())
    assert {"/swagger-ui.html", "/api-docs", "/health/ready", "/metrics", "/favicon.ico"} == set(links)
    for link in links:
        async with http.get(link) as found:
            assert found.status == 200, link


async def test_the_icon_is_a_picture(http: TestClient[Any, Any]) -> None:
    async with http.get("/favicon.ico") as icon:
        assert icon.content_type == "image/svg+xml"
        assert fromstring(await icon.text()).tag.endswith("svg")


async def test_docs_leads_to_the_documents(http: TestClient[Any, Any]) -> None:
    async with http.get("/docs") as found:
        assert (found.status, found.url.path) == (200, "/swagger-ui.html")


async def test_what_is_not_there_is_still_a_404_in_our_shape(http: TestClient[Any, Any]) -> None:
    async with http.get("/nothing") as missing:
        assert missing.status == 404
        assert (await missing.json())["path"] == "/nothing"
