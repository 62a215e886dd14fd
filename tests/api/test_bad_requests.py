"""Bad requests beside body and parameters: methods, paths and headers."""

import json
import logging
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from structlog.testing import capture_logs

from api.http.binding import Endpoint
from api.http.routing import _pattern
from tests.api.caller import Answer, Caller, unique
from tests.api.refusals import LEAKS, assert_refused, raw_request
from tests.api.table import ENDPOINTS, url_of
from tests.api.walks import Walk

pytestmark = pytest.mark.asyncio(loop_scope="session")


METHODS = {"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"}
WRONG_METHODS = Walk(ENDPOINTS, requests=len(METHODS) - 1)


@WRONG_METHODS.routes()
async def test_a_wrong_method_is_405_and_says_which_are_right(admin: Caller, endpoint: Endpoint) -> None:
    url = url_of(endpoint)
    taken = {one.route.method for one in ENDPOINTS if _pattern(one.route.path).fullmatch(url)}
    allowed = taken | ({"HEAD"} if "GET" in taken else set())
    for method in METHODS - allowed:
        answer = await admin.send(method, url)
        assert_refused(answer, 405)
        assert set(answer.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    "path",
    [
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v1/flows/",
        "/api/v1/flow",
        "/API/V1/flows",
        "/api/v1/flows/%2e%2e",
        "/api/v1/webhooks",
        "/api/v1/ledger",
        "/health/",
        "/.env",
        "/%ff%fe",
        "/" + "x" * 2000,
        "/\u2603",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_route_is_404(http: TestClient[Any, Any], path: str, method: str) -> None:
    async with http.request(method, path) as response:
        answer = Answer(response.status, response.headers, await response.text())
    if path == "/api/v1/flows/%2e%2e":
        assert answer.status in {401, 404, 405}  # the client may fold it into the parent
    else:
        assert_refused(answer, 404)


TOO_LONG = b"x" * 20_000


@pytest.mark.parametrize(
    "lines",
    [
        [b"GET /api/v1/flows HTTP/1.1", b"X-Long: " + TOO_LONG],
        [b"GET /api/v1/flows HTTP/1.1", b"X-Api-Key: " + TOO_LONG],
        [b"GET /api/v1/flows?x=" + TOO_LONG + b" HTTP/1.1"],
        [b"GET /api/v1/flows HTTP/1.1", b"X-Bad\x00: 1"],
        [b"GET /api/v1/flows HTTP/1.1", b"X-Bad: a\x00b"],
        [b"GET /api/v1/flows HTTP/9.9"],
        [b"POST /api/v1/flows HTTP/1.1", b"Content-Length: -1"],
        [b"POST /api/v1/flows HTTP/1.1", b"Content-Length: x"],
        [b"POST /api/v1/flows HTTP/1.1", b"Content-Length: 1", b"Transfer-Encoding: chunked"],
        [b"\x16\x03\x01\x02"],
    ],
)
async def test_headers_over_the_limit_or_broken_are_400_or_431(http: TestClient[Any, Any], lines: list[bytes]) -> None:
    status, answer = await raw_request(http, lines)
    assert status in {400, 431}, answer
    assert not [leak for leak in LEAKS if leak.encode() in answer], answer


SURROGATE = b"a\xff\xfeb"
"""Bytes that are no UTF-8: a header may carry them, JSON and Postgres may not."""

HEADERS = (
    b"X-Trailgate-Organisation",
    b"X-Factstore-Region",
    b"X-Dry-Run",
    b"X-Factstore-Dry-Run",
    b"X-Request-Id",
    b"Content-Type",
    b"Accept",
    b"User-Agent",
    b"Authorization",
    b"X-Api-Key",
)


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize(
    "value", [SURROGATE, "h\u00e9".encode(), b"x" * 5000, b""], ids=["bytes", "utf-8", "long", "empty"]
)
async def test_a_strange_header_value_is_never_our_failure(
    http: TestClient[Any, Any], admin: Caller, monkeypatch: pytest.MonkeyPatch, name: bytes, value: bytes
) -> None:
    body = json.dumps({"name": unique("header")}).encode()
    lines = [b"POST /api/v1/flows HTTP/1.1", name + b": " + value, b"Content-Length: %d" % len(body)]
    if name not in {b"X-Api-Key", b"Authorization"}:
        lines.append(f"X-Api-Key: {admin.key}".encode())
    if name != b"Content-Type":
        lines.append(b"Content-Type: application/json")
    monkeypatch.setattr(logging.getLogger("aiohttp.server"), "disabled", True)  # xdist cannot carry such bytes
    with capture_logs():
        status, answer = await raw_request(http, lines, body)
    assert status in {200, 201, 400, 401, 404, 415}, answer
    assert not [leak for leak in LEAKS if leak.encode() in answer], answer
