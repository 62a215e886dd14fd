"""Every refusal and failure in the dialect of its mount, and what is checked before what."""

import asyncio
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientPayloadError, web
from aiohttp.test_utils import TestClient, make_mocked_request
from pytest_aiohttp import AiohttpClient
from structlog.testing import capture_logs

from api.http.cors import Cors
from api.http.error_responses import ErrorResponses
from api.http.middleware import surface_middleware
from api.http.problems import STATUS
from api.http.security_headers import Hosts
from domain import errors
from tests.api.http.sample import FACTS, FAILURES, FLOW_ID, SEEN, drip, sample_app
from tests.api.limited import LimitedTestServer

ADMIN = {"X-API-Key": "admin"}


@pytest.fixture
async def client(aiohttp_client: AiohttpClient, tmp_path: Path) -> TestClient[Any, Any]:
    return await aiohttp_client(LimitedTestServer(sample_app(tmp_path)))


def test_every_domain_error_has_a_status_and_a_sample() -> None:
    closed_set = set(errors.TrailgateError.__subclasses__())
    assert set(STATUS) == closed_set
    assert closed_set <= {type(one) for one in FAILURES.values()}


@pytest.mark.parametrize(
    ("kind", "status", "phrase"),
    [
        ("invalid", 400, "Bad Request"),
        ("unauthenticated", 401, "Unauthorized"),
        ("forbidden", 403, "Forbidden"),
        ("notfound", 404, "Not Found"),
        ("conflict", 409, "Conflict"),
        ("gone", 410, "Gone"),
        ("stale", 412, "Precondition Failed"),
        ("toolarge", 413, "Request Entity Too Large"),
        ("unsupported", 415, "Unsupported Media Type"),
        ("rejected", 422, "Unprocessable Entity"),
        ("throttled", 429, "Too Many Requests"),
        ("upstream", 502, "Bad Gateway"),
        ("unavailable", 503, "Service Unavailable"),
        ("teapot", 416, "Requested Range Not Satisfiable"),
    ],
)
async def test_outcomes(client: TestClient[Any, Any], kind: str, status: int, phrase: str) -> None:
    response = await client.get(f"/api/v1/fail/{kind}", headers=ADMIN)
    body = await response.json()
    assert (response.status, body["status"], body["error"], body["message"]) == (status, status, phrase, "no")
    assert body["path"] == f"/api/v1/fail/{kind}"
    assert body["requestId"] == response.headers["X-Request-Id"]
    assert len(body["timestamp"]) == len("2026-01-02T03:04:05.678901Z")
    assert ("WWW-Authenticate" in response.headers) == (status == 401)
    assert response.headers.get("Retry-After") == {409: "1", 429: "7", 503: "3"}.get(status)
    assert body["details"] == {
        "invalid": [{"field": "tags.team", "message": "unknown"}],
        "rejected": [{"field": "a", "message": "b"}],
    }.get(kind, [])


@pytest.mark.parametrize("kind", ["unknown", "timeout", "output", "no-such-kind"])
async def test_the_unexpected_is_opaque_and_logged_with_its_id(client: TestClient[Any, Any], kind: str) -> None:
    with capture_logs() as logs:
        response = await client.get(f"/api/v1/fail/{kind}", headers={**ADMIN, "X-Request-Id": "find-me"})
    body = await response.json()
    assert (response.status, body["requestId"], body["details"]) == (500, "find-me", [])
    assert not any(word in str(body) for word in ("hunter2", "ErrorOut", "KeyError"))
    assert [(one["log_level"], one["request_id"]) for one in logs] == [("error", "find-me")]
    assert isinstance(logs[0]["exc_info"], Exception)


async def test_expected_refusals_are_not_logged(client: TestClient[Any, Any]) -> None:
    with capture_logs() as logs:
        await client.get("/api/v1/fail/conflict", headers=ADMIN)
        await client.get("/nowhere")
    assert logs == []


async def test_redirects_pass_through(client: TestClient[Any, Any]) -> None:
    response = await client.get("/api/v1/fail/redirect", headers=ADMIN, allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (302, "/elsewhere")
    assert "X-Request-Id" in response.headers


async def test_the_router_speaks_the_dialect_of_the_mount(client: TestClient[Any, Any]) -> None:
    plain = [("GET", "/nowhere", 404), ("GET", "/", 404), ("GET", "/changesets", 404), ("PATCH", "/api/v1/flows", 405)]
    for method, path, status in plain:
        response = await client.request(method, path)
        assert (response.status, (await response.json())["status"]) == (status, status), path
    other = [("GET", "/changes", 404), ("GET", "/changes/x", 404), ("PUT", "/changes/api/changes", 405)]
    for method, path, status in other:
        response = await client.request(method, path)
        assert response.content_type == "application/vnd.api+json"
        assert (await response.json())["errors"][0]["status"] == str(status)


async def test_405_lists_the_allowed_methods(client: TestClient[Any, Any]) -> None:
    response = await client.patch("/api/v1/flows")
    assert response.headers["Allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("path", ["/api/v1/flows", "/changes/api/changes"])
async def test_media_type_and_size_are_refused_in_the_dialect(client: TestClient[Any, Any], path: str) -> None:
    for kwargs, status in (
        ({"data": b"{}", "headers": ADMIN | {"Content-Type": "text/xml"}}, 415),
        ({"data": b"{}", "headers": ADMIN, "skip_auto_headers": ["Content-Type"]}, 415),
        ({"data": io.BytesIO(b" " * (1 << 20) + b"{}"), "headers": ADMIN | {"Content-Type": "application/json"}}, 413),
    ):
        response = await client.post(path, **kwargs)
        body = await response.json()
        assert (response.status, str(body.get("status") or body["errors"][0]["status"])) == (status, str(status))


async def test_nobody_is_401_and_a_wrong_key_too(client: TestClient[Any, Any]) -> None:
    for headers in ({}, {"X-API-Key": "wrong"}):
        response = await client.get("/api/v1/flows", headers=headers)
        assert response.status == 401
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="Trailgate"'


async def test_permission_is_checked_before_anything_is_read(client: TestClient[Any, Any]) -> None:
    response = await client.post("/api/v1/flows?dryRun=?", data=b"nonsense", headers={"X-API-Key": "viewer"})
    assert response.status == 403
    assert "facts:manage" in (await response.json())["message"]


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("viewer", 403)])
async def test_refused_before_the_body_arrives(client: TestClient[Any, Any], key: str | None, status: int) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    credential = f"X-API-Key: {key}\r\n" if key else ""
    head = f"POST /api/v1/flows HTTP/1.1\r\nHost: x\r\n{credential}Content-Type: application/json\r\n"
    writer.write((head + "Content-Length: 500000\r\nExpect: 100-continue\r\n\r\n").encode())
    line = await asyncio.wait_for(reader.readline(), 5)
    assert line.startswith(f"HTTP/1.1 {status} ".encode())
    writer.close()
    await writer.wait_closed()


async def test_expect_is_answered_once_the_body_is_wanted(client: TestClient[Any, Any]) -> None:
    response = await client.post("/api/v1/flows", json={"name": "x"}, headers=ADMIN, expect100=True)
    assert response.status == 201
    refused = await client.post("/api/v1/flows", json={"name": "x"}, headers=ADMIN | {"Expect": "miracles"})
    assert refused.status == 417


async def test_content_length_over_the_cap_is_refused_at_once(client: TestClient[Any, Any]) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /api/v1/receive HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n")
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).lower()
    assert head.startswith(b"http/1.1 413 ")
    assert b"connection: close" in head
    writer.close()
    await writer.wait_closed()


async def test_chunked_and_compressed_bodies_are_bounded_by_what_they_become(client: TestClient[Any, Any]) -> None:
    exact = await client.post("/api/v1/receive", data=drip(b"a" * 500, b"b" * 500))
    assert exact.headers["X-Length"] == "1000"
    assert (await client.post("/api/v1/receive", data=drip(b"a" * 500, b"b" * 501))).status == 413
    bomb = await client.post("/api/v1/receive", data=b"0" * 1_000_000, compress="gzip")
    assert bomb.status == 413
    fits = await client.post("/api/v1/receive", data=b"0" * 1000, compress="gzip")
    assert fits.headers["X-Length"] == "1000"


async def test_a_false_content_encoding_is_400(client: TestClient[Any, Any]) -> None:
    headers = ADMIN | {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    response = await client.post("/api/v1/flows", data=b'{"name": "not gzip"}', headers=headers)
    assert response.status == 400
    assert "Content-Encoding" in (await response.json())["message"]


@pytest.mark.parametrize("name", ["broken", "refused", "unwritten"])
async def test_nothing_is_written_after_a_response_has_begun(client: TestClient[Any, Any], name: str) -> None:
    """No second response comes into the stream; instead the connection is cut and the failure logged."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    with capture_logs() as logs:
        writer.write(f"GET /api/v1/stream/{name} HTTP/1.1\r\nHost: x\r\nX-API-Key: admin\r\n\r\n".encode())
        received = await asyncio.wait_for(reader.read(), 5)
    assert received.count(b"HTTP/1.1") <= 1
    assert b"secret" not in received
    assert not received.endswith(b"\r\n0\r\n\r\n"), "the last chunk"
    assert [one["event"] for one in logs] == ["request failed"]
    writer.close()
    await writer.wait_closed()


async def test_a_client_sees_a_broken_stream_as_broken(client: TestClient[Any, Any]) -> None:
    response = await client.get("/api/v1/stream/broken", headers=ADMIN)
    with pytest.raises(ClientPayloadError):
        await response.read()


async def test_a_client_that_goes_away_is_no_failure(client: TestClient[Any, Any]) -> None:
    with capture_logs() as logs:
        _, writer = await asyncio.open_connection(client.host, client.port)
        head = "POST /api/v1/flows HTTP/1.1\r\nHost: x\r\nX-API-Key: admin\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()
        await asyncio.sleep(0.1)
    assert [one["log_level"] for one in logs if one["log_level"] == "error"] == []
    assert client.app is not None
    assert client.app[SEEN].bodies == []


async def test_cancellation_is_nobodys_error() -> None:
    async def cancelled(request: web.Request) -> web.StreamResponse:
        raise asyncio.CancelledError

    speak = surface_middleware(ErrorResponses([FACTS], {}), Hosts(None), Cors(()))
    with pytest.raises(asyncio.CancelledError):
        await speak(make_mocked_request("GET", "/"), cancelled)


async def test_oversize_headers_are_refused_by_the_server_itself(client: TestClient[Any, Any]) -> None:
    """aiohttp answers these before any middleware, in text/plain, if it is let to."""
    response = await client.get("/api/v1/flows", headers={"X-Long": "x" * 20_000})
    body = await response.json()
    assert (response.status, body["status"]) == (431, 431)
    assert body["requestId"] == response.headers["X-Request-Id"]
    assert "16384 bytes" in body["message"]


UNPARSED = [
    (b"\x16\x03\x01\x02\r\n\r\n", 400),
    (b"GET / HTTP/9.9\r\n\r\n", 400),
    (b"GET /secret HTTP/1.1\r\nHost: x\r\nX-Secret\x00: s3cret\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
    (b"GET /nothing HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n", 417),
    (b"GET /changes/nothing HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n", 417),
]


@pytest.mark.parametrize(("sent", "status"), UNPARSED)
async def test_what_the_server_answers_itself_is_in_the_form_of_the_mount(
    client: TestClient[Any, Any], sent: bytes, status: int
) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(sent)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
    answer = json.loads(await reader.readexactly(length))
    writer.close()
    assert int(head.split(b" ", 2)[1]) == status
    if b"/changes/" in sent:
        assert b"application/vnd.api+json" in head
        assert [one["status"] for one in answer["errors"]] == [str(status)]
    else:
        assert answer.keys() == {"status", "error", "message", "timestamp", "path", "requestId", "details"}
        assert f"X-Request-Id: {answer['requestId']}".encode() in head
    for told in (b"secret", b"s3cret", b"aiohttp", b"llhttp", b"Traceback"):
        assert told not in head + json.dumps(answer).encode()


async def test_flow_not_found_is_the_handlers_404(client: TestClient[Any, Any]) -> None:
    response = await client.get(f"/api/v1/flows/{str(FLOW_ID)[:-1]}9", headers=ADMIN)
    assert (response.status, (await response.json())["message"]) == (404, "No such flow")
