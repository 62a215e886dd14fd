"""What browsers are told and asked: security headers, the hosts that are answered for, and other origins' pages."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import DummyCookieJar
from aiohttp.test_utils import TestClient, TestServer
from pydantic import ValidationError

from api.app import build_app
from storage.services import open_services
from storage.settings import Settings
from tests.api.caller import Caller
from tests.api.table import ENDPOINTS, GUARDED, url_of
from tests.conftest import ADMIN_KEY, Installation

pytestmark = pytest.mark.asyncio(loop_scope="session")

PUBLIC = "https://trailgate.example.com"
PAGE = "https://app.example.com"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "private, no-cache",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def public(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    """An installation with a public address, and pages of another origin."""
    settings = installation.settings(
        tmp_path_factory.mktemp("public"),
        public_url=PUBLIC,
        allowed_hosts="internal.example.com:8443, other.example.com",
        cors_origins=f"{PAGE}, http://localhost:5173",
    )
    async with (
        open_services(settings, "test browsers") as services,
        TestClient(TestServer(build_app(services)), cookie_jar=DummyCookieJar()) as client,
    ):
        yield Caller(client, ADMIN_KEY)


async def test_every_route_has_the_security_headers(api: Caller) -> None:
    nobody = replace(api, key=None)
    for endpoint in GUARDED:
        answer = await nobody.send(endpoint.route.method, url_of(endpoint))
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, endpoint.route.name
        assert "Strict-Transport-Security" not in answer.headers
    for path in ("/api/v1/none-such", "/health/live"):
        answer = await nobody.send("GET", path)
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


async def test_success_has_them_as_well_and_https_is_remembered_where_it_is_used(api: Caller, public: Caller) -> None:
    answer = await api.get("/flows")
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert (await public.get("/flows")).headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize(("path", "policy"), [("/", "style-src"), ("/swagger-ui.html", "script-src 'self'")])
async def test_pages_keep_their_own_policy(api: Caller, path: str, policy: str) -> None:
    async with api.client.get(path) as answer:
        assert policy in answer.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("trailgate.example.com", 200),
        ("TRAILGATE.example.com", 200),
        ("internal.example.com:8443", 200),
        ("other.example.com", 200),
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("[::1]:1", 200),
        ("evil.example.com", 403),
        ("internal.example.com", 403),
        ("trailgate.example.com:1", 403),
        ("trailgate.example.com.evil.example.com", 403),
        ("trailgate.example.com@evil.example.com", 403),
        ("", 403),
        ("[", 403),
    ],
)
async def test_with_a_public_address_only_known_hosts_are_answered_for(public: Caller, host: str, status: int) -> None:
    answer = await public.send("GET", "/flows", headers={"Host": host})
    assert answer.status == status
    assert status == 200 or "TRAILGATE_ALLOWED_HOSTS" in answer.json["message"]


async def test_probes_may_use_any_host_and_so_may_all_without_a_public_address(api: Caller, public: Caller) -> None:
    for path in ("/health/live", "/health/ready", "/ready", "/metrics"):
        assert (await public.send("GET", path, headers={"Host": "10.0.0.7:8080"})).status == 200
    await api.get("/flows", headers={"Host": "evil.example.com"})


def preflight(origin: str, **headers: str) -> dict[str, str]:
    return {"Origin": origin, "Access-Control-Request-Method": "PUT", **headers}


async def test_a_listed_origin_may_ask_for_every_route(public: Caller) -> None:
    nobody = replace(public, key=None)
    for endpoint in ENDPOINTS:
        wanted = {"Access-Control-Request-Headers": "x-api-key, content-type"}
        answer = await nobody.send("OPTIONS", url_of(endpoint), headers=preflight(PAGE, **wanted))
        assert answer.status == 204, endpoint.route.name
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert answer.headers["Access-Control-Allow-Headers"] == "x-api-key, content-type"
        assert "DELETE" in answer.headers["Access-Control-Allow-Methods"]


@pytest.mark.parametrize("origin", ["https://evil.example.com", f"{PAGE}.evil.example.com", "null", "", f"{PAGE}:443"])
async def test_another_origin_may_not(public: Caller, origin: str) -> None:
    answer = await public.send("OPTIONS", "/flows", headers=preflight(origin))
    assert (answer.status, "Access-Control-Allow-Origin" in answer.headers) == (405, False)
    read = await public.get("/flows", headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in read.headers
    assert read.headers["Vary"] == "Origin"
    assert (await public.send("POST", "/flows", json={"name": "x"}, headers={"Origin": origin})).status == 403


async def test_a_hostile_list_of_headers_is_not_echoed(public: Caller) -> None:
    wanted = {"Access-Control-Request-Headers": "x-a" * 1000}
    answer = await public.send("OPTIONS", "/flows", headers=preflight(PAGE, **wanted))
    assert (answer.status, "Access-Control-Allow-Headers" in answer.headers) == (204, False)


async def test_a_page_of_a_listed_origin_reads_and_writes(public: Caller) -> None:
    read = await public.get("/flows", headers={"Origin": PAGE})
    assert read.headers["Access-Control-Allow-Origin"] == PAGE
    assert read.headers["Access-Control-Allow-Credentials"] == "true"
    assert "X-Total-Count" in read.headers["Access-Control-Expose-Headers"]
    sent: dict[str, Any] = {"json": {"name": ""}, "headers": {"Origin": PAGE, "Sec-Fetch-Site": "cross-site"}}
    refused = await public.send("POST", "/flows", **sent)
    assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (400, PAGE)


async def test_without_listed_origins_nothing_is_said(api: Caller) -> None:
    answer = await api.get("/flows", headers={"Origin": PAGE})
    assert not {"Vary", "Access-Control-Allow-Origin"} & answer.headers.keys()


@pytest.mark.parametrize(
    "given",
    [
        {"cors_origins": "*"},
        {"cors_origins": "https://app.example.com/"},
        {"cors_origins": "app.example.com"},
        {"cors_origins": "https://*.example.com"},
        {"allowed_hosts": "*"},
        {"allowed_hosts": "https://a.example.com"},
    ],
)
async def test_a_bad_list_ends_the_start(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Settings(**given)  # type: ignore[arg-type]
