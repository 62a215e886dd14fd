"""What a browser sends for a page of somebody else changes nothing, with or without authentication."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from api.app import build_app
from storage.services import open_services
from tests.api.caller import Caller
from tests.conftest import Installation

pytestmark = pytest.mark.asyncio(loop_scope="session")

PUBLIC = "https://trailgate.example.com/evidence"
FLOW = {"name": "from a page"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def anybody(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    """Without a key, where authentication is off, behind a proxy."""
    settings = installation.settings(tmp_path_factory.mktemp("off"), auth="off", public_url=PUBLIC)
    async with (
        open_services(settings, "test origins") as services,
        TestClient(TestServer(build_app(services))) as client,
    ):
        yield Caller(client, None)


FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://trailgate.example.com"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "https://trailgate.example.com.evil.example"},
    {"Origin": "https://[", "Host": "["},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
@pytest.mark.parametrize("media", ["application/json", "text/plain"])
async def test_a_foreign_page_changes_nothing(
    api: Caller, anybody: Caller, headers: dict[str, str], media: str
) -> None:
    for caller in (api, anybody):
        before = (await caller.get("/flows")).headers["X-Total-Count"]
        refused = await caller.send("POST", "/flows", json=FLOW, headers={**headers, "Content-Type": media})
        assert refused.status == 403
        assert "TRAILGATE_" in refused.json["message"]
        assert (await caller.get("/flows")).headers["X-Total-Count"] == before


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://a.proxy.example"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "https://trailgate.example.com"},
        {"Origin": "http://localhost:8080", "Host": "localhost:8080"},
    ],
    ids=str,
)
async def test_our_own_pages_and_other_clients_may_write(anybody: Caller, headers: dict[str, str]) -> None:
    dry = {**headers, "X-Dry-Run": "true"}
    assert (await anybody.send("POST", "/flows", json=FLOW, headers=dry)).status == 200


async def test_a_foreign_page_may_read_with_a_key(api: Caller) -> None:
    """It could not without one, and a browser shows it no answer: there are no CORS headers."""
    answer = await api.get("/flows", headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", "10.0.0.1", "["]
)
async def test_without_authentication_another_host_name_is_refused_even_to_read(anybody: Caller, host: str) -> None:
    refused = await anybody.send("GET", "/flows", headers={"Host": host})
    assert refused.status == 403
    assert "TRAILGATE_PUBLIC_URL" in refused.json["message"]


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1:9", "127.8.8.8", "[::1]:8080", "trailgate.example.com"]
)
async def test_without_authentication_our_own_names_are_served(anybody: Caller, host: str) -> None:
    assert (await anybody.send("GET", "/flows", headers={"Host": host})).status == 200


async def test_with_authentication_every_host_name_is_served(api: Caller) -> None:
    await api.get("/flows", headers={"Host": "evidence.example"})
    assert (await replace(api, key=None).send("GET", "/flows", headers={"Host": "evidence.example"})).status == 401


async def test_behind_https_a_page_of_the_http_origin_is_foreign(anybody: Caller) -> None:
    host = {"Host": "trailgate.example.com"}
    for scheme, status in (("http", 403), ("https", 201)):
        sent = {**host, "Origin": f"{scheme}://trailgate.example.com"}
        assert (await anybody.send("POST", "/flows", json={"name": f"by {scheme}"}, headers=sent)).status == status
